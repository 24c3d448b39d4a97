//! The data that all connections share during one round of the server.

use std::net::IpAddr;
use std::time::Instant;

use super::admin::{self, Load};
use super::engine::Question;
use super::gate::{Gate, Pending, Step};
use super::http::{Head, Response, Status};

/// The requests that a connection allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Gate,
    Admin,
}

pub struct Turn<'a> {
    pub gate: &'a Gate,
    /// When the sockets were polled. Bytes that were read in this round have arrived before.
    pub now: Instant,
    /// The same in the form of the header `Date`.
    pub date: &'a str,
    /// The requests of the next batch.
    pub questions: &'a mut Vec<Question>,
    pub load: Load,
    /// Whether the gate is stopping, so that every answer is the last one of its connection.
    pub is_last: bool,
}

impl Turn<'_> {
    pub fn begin(&mut self, role: Role, head: &Head<'_, '_>, peer: Option<IpAddr>) -> Step {
        match role {
            Role::Gate => self.gate.begin(head, peer, self.now, self.questions),
            Role::Admin => admin::begin(self.gate, head.path, &self.load, self.now, self.questions),
        }
    }

    /// Continues a request whose body has arrived.
    pub fn read(&mut self, pending: Pending, body: &[u8]) -> Step {
        self.gate.read(pending, body, self.now, self.questions)
    }

    /// Refuses what is not the head of a request.
    pub fn refuse_head(&self, role: Role, status: Status) -> Response {
        match role {
            Role::Gate => self.gate.refuse_head(status, self.now),
            Role::Admin => Response::new(status).closing(),
        }
    }

    /// Refuses a request because of its body.
    pub fn refuse(&self, pending: &Pending, why: Status) -> Response {
        self.gate.refuse(pending, why, self.now)
    }
}
