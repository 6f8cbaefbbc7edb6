//! Sockets that are never waited for, and one buffer for all of them: a connection has one of its own only while
//! something that it received is not whole.

use std::io::{self, Read};
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicU16, Ordering};

use mio::net::TcpStream;
use socket2::{Domain, Protocol, Socket, Type};

/// What one read takes at most.
const READ: usize = 64 * 1024;

/// Begins to connect, from `from` where the two are of one family.
pub(super) fn connect(to: SocketAddr, from: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_tcp_nodelay(true)?;
    if let Some(from) = from.filter(|from| from.is_ipv4() == to.is_ipv4()) {
        bind(&socket, from)?;
    }
    match socket.connect(&to.into()) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
        Err(error) => return Err(error),
    }
    Ok(TcpStream::from_std(socket.into()))
}

/// Connects, and waits for it: however many do so in a row, the server's queue does not overflow.
pub(super) fn connected(to: SocketAddr, from: IpAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, Some(Protocol::TCP))?;
    bind(&socket, from)?;
    socket.connect(&to.into())?;
    socket.set_nonblocking(true)?;
    Ok(TcpStream::from_std(socket.into()))
}

/// The local ports that are tried.
const PORTS: std::ops::Range<u16> = 10_000..60_000;

/// Binds to `from` and the next port that is free. The kernel looks for one at random when it is left to it, which takes the
/// longer the more are taken: with a hundred thousand connections nearly all of the time.
fn bind(socket: &Socket, from: IpAddr) -> io::Result<()> {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    for _port in PORTS {
        let port = PORTS.start + NEXT.fetch_add(1, Ordering::Relaxed) % (PORTS.end - PORTS.start);
        match socket.bind(&SocketAddr::new(from, port).into()) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            bound => return bound,
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

/// What a connection received and is not whole.
pub(super) type Rest = Option<Box<[u8]>>;

/// The buffer that all connections are read into.
pub(super) struct Scratch {
    buffer: Vec<u8>,
    filled: usize,
}

/// What a read gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Got {
    /// Something, and there may be more.
    More,
    /// Something; for now there is no more.
    All,
    /// Nothing for now.
    Nothing,
    /// The peer ended.
    End,
}

impl Scratch {
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; 2 * READ], filled: 0 }
    }

    /// Reads behind what is `rest`.
    pub(super) fn read(&mut self, stream: &mut impl Read, rest: &mut Rest) -> io::Result<Got> {
        self.filled = 0;
        let kept = rest.as_ref().map_or(0, |rest| rest.len());
        if self.buffer.len() < kept + READ {
            self.buffer.resize(kept + READ, 0);
        }
        loop {
            let (head, room) = self.buffer.split_at_mut(kept);
            match stream.read(&mut room[..READ]) {
                Ok(0) => return Ok(Got::End),
                Ok(read) => {
                    if let Some(rest) = rest.take() {
                        head.copy_from_slice(&rest);
                    }
                    self.filled = kept + read;
                    return Ok(if read == READ { Got::More } else { Got::All });
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Got::Nothing),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// What was read.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer[..self.filled]
    }

    /// What of it is left once `used` bytes were.
    pub(super) fn rest(&self, used: usize) -> Rest {
        let left = &self.bytes()[used..];
        (!left.is_empty()).then(|| left.into())
    }
}

/// Writes as much as goes; what does not is kept in `out` and goes first the next time.
pub(super) fn write(stream: &mut impl io::Write, bytes: &[u8], out: &mut Rest) -> io::Result<()> {
    if let Some(waiting) = out.take() {
        let joined = [&waiting, bytes].concat();
        return write(stream, &joined, out);
    }
    let mut written = 0;
    while written < bytes.len() {
        match stream.write(&bytes[written..]) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(more) => written += more,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                *out = Some(bytes[written..].into());
                break;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes a few bytes at a time.
    struct Narrow(Vec<u8>, usize);

    impl io::Write for Narrow {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.1 == 0 {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let taken = bytes.len().min(self.1);
            self.1 -= taken;
            self.0.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nothing_is_lost_between_full_sockets() -> io::Result<()> {
        let (mut stream, mut out) = (Narrow(Vec::new(), 3), None);
        write(&mut stream, b"abcdef", &mut out)?;
        assert_eq!(out.as_deref(), Some(&b"def"[..]));
        write(&mut stream, b"gh", &mut out)?;
        stream.1 = 100;
        write(&mut stream, b"i", &mut out)?;
        assert_eq!((stream.0.as_slice(), out), (&b"abcdefghi"[..], None));
        Ok(())
    }

    #[test]
    fn what_is_not_whole_comes_first_in_the_next_read() -> io::Result<()> {
        let (mut scratch, mut rest) = (Scratch::new(), None);
        assert_eq!(scratch.read(&mut &b"abc"[..], &mut rest)?, Got::All);
        rest = scratch.rest(1);
        assert_eq!(scratch.read(&mut &b"de"[..], &mut rest)?, Got::All);
        assert_eq!(scratch.bytes(), b"bcde");
        assert_eq!((scratch.rest(4), rest), (None, None));
        assert_eq!(scratch.read(&mut &b""[..], &mut None)?, Got::End);
        Ok(())
    }
}
