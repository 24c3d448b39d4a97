//! The three streams without std's buffers: those keep a copy of what passes through for the life of the process.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use crate::context::Output;

pub fn input() -> Box<dyn Read> {
    Box::new(Stream(own(io::stdin().as_fd())))
}

pub fn output() -> Box<dyn Output> {
    Box::new(Stream(own(io::stdout().as_fd())))
}

pub fn talk() -> Box<dyn Write> {
    Box::new(Stream(own(io::stderr().as_fd())))
}

fn own(fd: BorrowedFd<'_>) -> Option<File> {
    fd.try_clone_to_owned().ok().map(File::from)
}

/// A stream, or none where it could not be had.
struct Stream(Option<File>);

impl Stream {
    fn file(&mut self) -> io::Result<&mut File> {
        self.0.as_mut().ok_or_else(|| io::Error::other("the stream is closed"))
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.file()?.read(buffer)
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file()?.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file()?.flush()
    }
}

impl Output for Stream {
    /// std opens a closed descriptor as `/dev/null` before `main`, so that both look alike.
    fn is_nowhere(&self) -> bool {
        let null = std::fs::metadata("/dev/null").map(|meta| meta.rdev());
        let ours = self.0.as_ref().map(File::metadata);
        match (ours, null) {
            (Some(Ok(ours)), Ok(null)) => ours.file_type().is_char_device() && ours.rdev() == null,
            (Some(Ok(_)), Err(_)) => false,
            _ => true,
        }
    }

    fn sync(&mut self) -> io::Result<()> {
        let file = self.file()?;
        if file.metadata()?.is_file() { file.sync_all() } else { Ok(()) }
    }
}
