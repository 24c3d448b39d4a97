//! The three standard streams, without the buffers of std, which would keep copies of secrets until the
//! process exits.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use crate::context::{Output, OutputFile};

pub fn input() -> Box<dyn Read> {
    Box::new(Stream(duplicate(io::stdin().as_fd())))
}

pub fn output() -> Box<dyn Output> {
    Box::new(Stream(duplicate(io::stdout().as_fd())))
}

pub fn talk() -> Box<dyn Write> {
    Box::new(Stream(duplicate(io::stderr().as_fd())))
}

fn duplicate(fd: BorrowedFd<'_>) -> Option<File> {
    fd.try_clone_to_owned().ok().map(File::from)
}

/// A stream, or `None` if it is not open.
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
    /// std opens a closed descriptor as `/dev/null` before `main`, so that both look the same here.
    fn is_nowhere(&self) -> bool {
        // `/dev/null`, `/dev/zero` and similar devices discard output. `/dev/full` does not: writing to it
        // fails.
        const FULL: (u32, u32) = (1, 7);
        let Some(Ok(meta)) = self.0.as_ref().map(File::metadata) else { return true };
        let (major, minor) = (rustix::fs::major(meta.rdev()), rustix::fs::minor(meta.rdev()));
        let discards = meta.file_type().is_char_device() && major == FULL.0 && minor != FULL.1;
        discards || meta.is_file() && meta.nlink() == 0
    }

    fn file(&self) -> Option<OutputFile> {
        let file = self.0.as_ref()?;
        let meta = file.metadata().ok().filter(std::fs::Metadata::is_file)?;
        let path = std::fs::read_link(format!("/proc/self/fd/{}", file.as_raw_fd())).ok()?;
        Some(OutputFile { path, meta })
    }

    fn sync(&mut self) -> io::Result<()> {
        let file = self.file()?;
        if file.metadata()?.is_file() { file.sync_all() } else { Ok(()) }
    }
}
