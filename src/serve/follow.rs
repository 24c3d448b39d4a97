//! The thread of a server that looks at a replica again and again, so that no request waits for a heartbeat.

use std::time::Duration;

use crate::clock::SystemClock;
use crate::store::{Address, StoreError, watch_replica};

/// Starts it. Fails if the first look does; a replica that is too old is followed all the same.
pub fn follow(replica: Address, most: Duration) -> Result<(), StoreError> {
    watch_replica(replica, most, SystemClock)
}
