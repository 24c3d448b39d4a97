//! What all connections share while the server looks at them once.

use std::net::IpAddr;
use std::time::Instant;

use super::admin::{self, Load};
use super::engine::Question;
use super::gate::{Gate, Pending, Step};
use super::http::{Head, Response, Status};

/// What a connection may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Gate,
    Admin,
}

pub struct Turn<'a> {
    pub gate: &'a Gate,
    /// When the sockets were looked at. What was read then has arrived before.
    pub now: Instant,
    /// The same as the header `Date` has it.
    pub date: &'a str,
    /// Those of the next burst.
    pub questions: &'a mut Vec<Question>,
    pub load: Load,
    /// Whether the gate is ending, so that every answer is the last one of its connection.
    pub is_last: bool,
}

impl Turn<'_> {
    pub fn begin(&mut self, role: Role, head: &Head<'_, '_>, peer: Option<IpAddr>) -> Step {
        match role {
            Role::Gate => self.gate.begin(head, peer, self.now, self.questions),
            Role::Admin => admin::begin(self.gate, head.path, &self.load, self.now, self.questions),
        }
    }

    /// Goes on with a request whose body has come.
    pub fn read(&mut self, pending: Pending, body: &[u8]) -> Step {
        self.gate.read(pending, body, self.now, self.questions)
    }

    /// Refuses a request for its body.
    pub fn refuse(&self, pending: &Pending, why: Status) -> Response {
        self.gate.refuse(pending, why, self.now)
    }
}
