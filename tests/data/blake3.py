"""BLAKE3 in its default mode, written from the public specification. It is short rather than fast."""

IV = (0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A, 0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19)
ORDER = (2, 6, 3, 10, 7, 0, 4, 13, 1, 11, 12, 5, 9, 14, 15, 8)
MASK = 0xFFFFFFFF
CHUNK_START, CHUNK_END, PARENT, ROOT = 1, 2, 4, 8
COLUMNS_AND_DIAGONALS = (
    (0, 4, 8, 12), (1, 5, 9, 13), (2, 6, 10, 14), (3, 7, 11, 15),
    (0, 5, 10, 15), (1, 6, 11, 12), (2, 7, 8, 13), (3, 4, 9, 14),
)


def rotated(word, by):
    return (word >> by | word << (32 - by)) & MASK


def compress(chain, block, counter, length, flags):
    s = list(chain) + list(IV[:4]) + [counter & MASK, counter >> 32, length, flags]
    words = [int.from_bytes(block[at:at + 4], "little") for at in range(0, 64, 4)]
    for _ in range(7):
        for i, (a, b, c, d) in enumerate(COLUMNS_AND_DIAGONALS):
            for word, first, second in ((words[2 * i], 16, 12), (words[2 * i + 1], 8, 7)):
                s[a] = (s[a] + s[b] + word) & MASK
                s[d] = rotated(s[d] ^ s[a], first)
                s[c] = (s[c] + s[d]) & MASK
                s[b] = rotated(s[b] ^ s[c], second)
        words = [words[at] for at in ORDER]
    return [s[i] ^ s[i + 8] for i in range(8)]


def chunk(data, counter, root):
    chain, blocks = IV, [data[at:at + 64] for at in range(0, len(data), 64)] or [b""]
    for at, block in enumerate(blocks):
        last = at == len(blocks) - 1
        flags = (CHUNK_START if at == 0 else 0) | (CHUNK_END if last else 0) | (ROOT if last and root else 0)
        chain = compress(chain, block.ljust(64, b"\0"), counter, len(block), flags)
    return chain


def tree(data, counter, root):
    if len(data) <= 1024:
        return chunk(data, counter, root)
    left = 1024 << ((len(data) - 1) // 1024).bit_length() - 1
    sides = tree(data[:left], counter, False) + tree(data[left:], counter + left // 1024, False)
    block = b"".join(word.to_bytes(4, "little") for word in sides)
    return compress(IV, block, 0, 64, PARENT | (ROOT if root else 0))


def blake3(data):
    return b"".join(word.to_bytes(4, "little") for word in tree(data, 0, True))
