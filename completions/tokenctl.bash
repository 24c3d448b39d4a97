# bash completion for tokenctl

_tokenctl() {
    # bash breaks words at `=`, `:` and `@`, too. Here only a blank does, and only the text before the cursor counts.
    local rest=${COMP_LINE:0:COMP_POINT} words=() word gap
    for word in "${COMP_WORDS[@]:0:COMP_CWORD + 1}"; do
        gap=${rest%%[![:blank:]]*}
        rest=${rest:${#gap}}
        if [[ -n $gap || ${#words[@]} -eq 0 ]]; then
            words+=("")
        fi
        word=${word:0:${#rest}}
        words[${#words[@]} - 1]+=$word
        rest=${rest:${#word}}
    done
    words=("${words[@]//[\"\'\\]/}")
    # bash replaces no more than what it takes for the word.
    local kept=${words[${#words[@]} - 1]}
    kept=${kept%"${2//[\"\'\\]/}"}

    mapfile -t COMPREPLY < <(TOKENCTL_COMPLETE=bash command tokenctl -- "${words[@]}" 2>/dev/null)
    case ${COMPREPLY-} in
        *:files) COMPREPLY=() && compopt -o default ;;
        *:dirs) COMPREPLY=() && compopt -o dirnames ;;
        *=) compopt -o nospace ;;
    esac
    COMPREPLY=("${COMPREPLY[@]#"$kept"}")
}

complete -F _tokenctl tokenctl
