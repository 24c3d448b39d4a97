//! Waits for many descriptors at once.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::io::Errno;

/// How many descriptors one call reports at most.
const EVENTS: usize = 256;

/// The events for which a descriptor is registered, with its number.
pub struct Poll {
    epoll: OwnedFd,
    events: Vec<Event>,
    /// Whether the last call reported everything that was ready, and was neither interrupted nor short of room.
    pub has_seen_all: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    Nothing,
    Read,
    Write,
}

/// The events of a descriptor.
#[derive(Debug, Clone, Copy)]
pub struct Ready {
    pub number: u64,
    /// The other end is gone, and written bytes do not reach it.
    pub gone: bool,
}

impl Poll {
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            events: Vec::with_capacity(EVENTS),
            has_seen_all: false,
        })
    }

    pub fn add(&self, descriptor: impl AsFd, number: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, descriptor, EventData::new_u64(number), flags(interest))?)
    }

    pub fn change(&self, descriptor: impl AsFd, number: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, descriptor, EventData::new_u64(number), flags(interest))?)
    }

    /// Waits for events, but no longer than this. A closed descriptor is no longer registered.
    pub fn wait(&mut self, patience: Option<Duration>) -> io::Result<impl Iterator<Item = Ready>> {
        self.events.clear();
        let patience = patience.and_then(|it| Timespec::try_from(it).ok());
        match epoll::wait(&self.epoll, spare_capacity(&mut self.events), patience.as_ref()) {
            Ok(count) => self.has_seen_all = count < EVENTS,
            Err(Errno::INTR) => self.has_seen_all = false,
            Err(err) => return Err(err.into()),
        }
        Ok(self.events.drain(..).map(|event| {
            let (flags, data) = (event.flags, event.data);
            Ready { number: data.u64(), gone: flags.intersects(EventFlags::HUP | EventFlags::ERR) }
        }))
    }
}

fn flags(interest: Interest) -> EventFlags {
    match interest {
        Interest::Nothing => EventFlags::empty(),
        Interest::Read => EventFlags::IN,
        Interest::Write => EventFlags::OUT,
    }
}
