//! Connections of all processes to rank 0, which hands on what each sends.

use super::Rendezvous;
use crate::{Error, Result};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, ToSocketAddrs};
use std::thread;
use std::time::{Duration, Instant};

/// What a process says first: that it is one of this crate's, its rank and the number of processes.
const GREETING: &[u8; 8] = b"taper 1\n";

/// How long to wait before the next try.
const PAUSE: Duration = Duration::from_millis(10);

/// Rank 0 has a connection to each other rank, by rank from 1 on; every other rank has one, to rank 0.
#[derive(Debug)]
pub(super) struct Star {
    rank: usize,
    world_size: usize,
    links: Vec<TcpStream>,
}

impl Star {
    pub(super) fn connect(rendezvous: &Rendezvous) -> Result<Self> {
        let links = match rendezvous.rank {
            _ if rendezvous.world_size == 1 => Vec::new(),
            0 => gather(rendezvous)?,
            _ => vec![reach(rendezvous)?],
        };
        for link in &links {
            // Small messages go out at once, and a silent process is given up.
            let set = [
                link.set_nodelay(true),
                link.set_read_timeout(Some(rendezvous.timeout)),
                link.set_write_timeout(Some(rendezvous.timeout)),
            ];
            set.into_iter().collect::<io::Result<()>>().map_err(|error| meeting(rendezvous, error.to_string()))?;
        }
        Ok(Self { rank: rendezvous.rank, world_size: rendezvous.world_size, links })
    }

    /// What every process gave, by rank: as many bytes from each.
    pub(super) fn all_gather(&mut self, own: &[u8]) -> Result<Vec<Vec<u8>>> {
        let all = if self.rank == 0 { self.collect(own) } else { self.exchange(own) };
        if all.is_err() {
            // A message may be half sent or half read: nobody can go on from there.
            self.close();
        }
        all
    }

    /// Ends every connection.
    pub(super) fn close(&mut self) {
        for link in &self.links {
            // It may be gone already.
            let _ = link.shutdown(Shutdown::Both);
        }
    }

    /// Rank 0: reads from each, then writes all to each.
    fn collect(&mut self, own: &[u8]) -> Result<Vec<Vec<u8>>> {
        let mut all = vec![own.to_vec()];
        for (rank, link) in (1..).zip(&mut self.links) {
            let theirs = receive(link).map_err(|source| Error::Rank { rank, source })?;
            if theirs.len() != own.len() {
                let source = io::Error::other(format!("it gives {} bytes and rank 0 {}", theirs.len(), own.len()));
                return Err(Error::Rank { rank, source });
            }
            all.push(theirs);
        }
        let together = all.concat();
        for (rank, link) in (1..).zip(&mut self.links) {
            send(link, &together).map_err(|source| Error::Rank { rank, source })?;
        }
        Ok(all)
    }

    fn exchange(&mut self, own: &[u8]) -> Result<Vec<Vec<u8>>> {
        let lost = |source| Error::Rank { rank: 0, source };
        let Some(link) = self.links.first_mut() else { return Ok(vec![own.to_vec()]) };
        send(link, own).map_err(lost)?;
        let together = receive(link).map_err(lost)?;
        let of = |rank: usize| together.get(rank * own.len()..(rank + 1) * own.len()).map(<[u8]>::to_vec);
        (0..self.world_size).map(of).collect::<Option<_>>().ok_or_else(|| lost(io::ErrorKind::InvalidData.into()))
    }
}

fn send(mut link: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    link.write_all(&(bytes.len() as u64).to_le_bytes())?;
    link.write_all(bytes)
}

fn receive(mut link: &TcpStream) -> io::Result<Vec<u8>> {
    let mut length = [0; 8];
    link.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    let mut bytes = Vec::new();
    // Grows with what comes: a wrong length takes no memory.
    match link.take(length).read_to_end(&mut bytes)? as u64 == length {
        true => Ok(bytes),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// Rank 0: the connections of all others, by rank.
fn gather(rendezvous: &Rendezvous) -> Result<Vec<TcpStream>> {
    let Rendezvous { world_size, address, timeout, .. } = rendezvous;
    let failed = |error: io::Error| meeting(rendezvous, error.to_string());
    let listener = TcpListener::bind(address).map_err(failed)?;
    listener.set_nonblocking(true).map_err(failed)?;
    let mut links: Vec<Option<TcpStream>> = (1..*world_size).map(|_| None).collect();
    let begin = Instant::now();
    while let Some(missing) = links.iter().position(Option::is_none) {
        match listener.accept() {
            Ok((link, _)) => {
                // Whoever is no process of this group is let go.
                if let Ok((rank, theirs)) = greeted(&link) {
                    let place = rank.checked_sub(1).and_then(|place| links.get_mut(place));
                    match place {
                        Some(place) if place.is_none() && theirs == *world_size => *place = Some(link),
                        _ => {
                            let reason = format!("rank {rank} of {theirs} came where {world_size} meet, each once");
                            return Err(meeting(rendezvous, reason));
                        }
                    }
                }
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                if begin.elapsed() > *timeout {
                    let reason = format!("rank {} has not come in {} s", missing + 1, timeout.as_secs_f64());
                    return Err(meeting(rendezvous, reason));
                }
                thread::sleep(PAUSE);
            }
            Err(error) => return Err(failed(error)),
        }
    }
    let links: Vec<TcpStream> = links.into_iter().flatten().collect();
    for (rank, mut link) in (1..).zip(&links) {
        link.write_all(GREETING).map_err(|source| Error::Rank { rank, source })?;
    }
    Ok(links)
}

/// The rank and the number of processes that one who comes tells.
fn greeted(mut link: &TcpStream) -> io::Result<(usize, usize)> {
    link.set_nonblocking(false)?;
    link.set_read_timeout(Some(Duration::from_secs(5)))?;
    let mut greeting = [0; GREETING.len()];
    link.read_exact(&mut greeting)?;
    if greeting != *GREETING {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut number = || -> io::Result<usize> {
        let mut bytes = [0; 8];
        link.read_exact(&mut bytes)?;
        usize::try_from(u64::from_le_bytes(bytes)).map_err(io::Error::other)
    };
    Ok((number()?, number()?))
}

/// Other ranks: the connection to rank 0, which may not be there yet.
fn reach(rendezvous: &Rendezvous) -> Result<TcpStream> {
    let Rendezvous { rank, world_size, address, timeout } = rendezvous;
    let begin = Instant::now();
    let mut link = loop {
        let tried = address.to_socket_addrs().and_then(|mut found| {
            let found = found.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
            TcpStream::connect_timeout(&found, timeout.saturating_sub(begin.elapsed()).max(PAUSE))
        });
        match tried {
            Ok(link) => break link,
            Err(error) if begin.elapsed() > *timeout => return Err(meeting(rendezvous, error.to_string())),
            Err(_) => thread::sleep(PAUSE),
        }
    };
    let greeting = [&GREETING[..], &(*rank as u64).to_le_bytes(), &(*world_size as u64).to_le_bytes()].concat();
    let mut answer = [0; GREETING.len()];
    let greeted = link
        .set_read_timeout(Some(*timeout))
        .and_then(|()| link.write_all(&greeting))
        .and_then(|()| link.read_exact(&mut answer));
    greeted.map_err(|error| {
        meeting(
            rendezvous,
            format!("rank 0 does not take rank {rank} of {world_size}, its own message says why: {error}"),
        )
    })?;
    Ok(link)
}

fn meeting(rendezvous: &Rendezvous, reason: String) -> Error {
    Error::Rendezvous { rank: rendezvous.rank, address: rendezvous.address.clone(), reason }
}
