//! `diff`: compares the store with a file of wanted tokens.

use clap::Args;

use crate::app::{App, Outcome, keep_answer};
use crate::cmd::args::plan::{Plan, Sight, TO_DO};
use crate::cmd::args::wanted::WantedArgs;
use crate::error::Error;

#[derive(Args)]
pub struct Diff {
    #[command(flatten)]
    wanted: WantedArgs,
    /// Also show tokens that the file does not name, which `apply --exclusive` would revoke
    #[arg(long)]
    exclusive: bool,
}

impl Diff {
    pub fn run(&self, app: &mut App<'_>) -> Result<Outcome, Error> {
        let wanted = self.wanted.read(app, false)?;
        let store = app.open_to_read()?;
        let machine = &*app.ctx.machine;
        let actor = machine.actor();
        let sight = Sight { wanted: &wanted, exclusive: self.exclusive, actor: &actor, machine };
        let plan = store.read_now(machine, |view, now| Plan::new(view, &sight, now))?;
        keep_answer(plan.show(app, false, true))?;
        let file = self.wanted.file.display();
        if plan.steps.is_empty() {
            app.talk().note(&format!("no drift: the store matches `{file}`"));
            return Ok(Outcome::Done);
        }
        app.talk()
            .note(&format!("{}; run `tokenctl apply {file}` to make these changes", plan.in_words(TO_DO)));
        Ok(Outcome::No)
    }
}
