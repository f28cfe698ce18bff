//! Several processes that train one model, each on its part of every batch: data parallelism.

#[cfg(feature = "nccl")]
mod nccl;
mod star;

use crate::{Error, Result};
use candle_core::{DType, Device, Tensor};
use star::Star;
use std::time::Duration;

/// Where the processes of a group meet. What `torchrun` hands to each process as environment variables belongs here: `RANK`,
/// `WORLD_SIZE`, and `MASTER_ADDR:MASTER_PORT` as the address.
///
/// ```
/// use std::time::Duration;
/// use taper_trainer::distributed::Rendezvous;
///
/// let rendezvous = Rendezvous::new(1, 4, "10.0.0.1:29500").timeout(Duration::from_secs(60));
/// assert_eq!(rendezvous.world_size, 4);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendezvous {
    /// This process's number, from 0.
    pub rank: usize,
    /// How many processes there are.
    pub world_size: usize,
    /// `host:port` where rank 0 listens, on a network that can be trusted: nothing is encrypted, nobody is asked who they are.
    pub address: String,
    /// How long each process waits for another before it gives up.
    pub timeout: Duration,
}

impl Rendezvous {
    /// A meeting of `world_size` processes at `address`, that waits ten minutes.
    pub fn new(rank: usize, world_size: usize, address: impl Into<String>) -> Self {
        Self { rank, world_size, address: address.into(), timeout: Duration::from_secs(600) }
    }

    /// Sets how long each process waits for another before it gives up.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }
}

/// This process among those that train together, for [`Trainer::data_parallel`](crate::Trainer::data_parallel).
///
/// Tensors travel over TCP by way of rank 0, those of CUDA devices too unless NCCL carries them. A group in which a
/// process is lost is at an end: every further call fails, in every process.
///
/// ```
/// use candle_core::{Device, Tensor};
/// use std::thread;
/// use taper_trainer::distributed::{ProcessGroup, Rendezvous};
///
/// # let address = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
/// // Two threads stand for two processes.
/// let work = |rank: usize| {
///     let mut group = ProcessGroup::connect(&Rendezvous::new(rank, 2, address.as_str()))?;
///     let sum = group.all_reduce(&Tensor::new(&[rank as f32, 10.], &Device::Cpu)?)?;
///     assert_eq!(sum.to_vec1::<f32>()?, [1., 20.]);
///     Ok::<(), taper_trainer::Error>(())
/// };
/// thread::scope(|scope| [0, 1].map(|rank| scope.spawn(move || work(rank))).map(|it| it.join().unwrap()))
///     .into_iter()
///     .collect::<Result<(), _>>()?;
/// # Ok::<(), taper_trainer::Error>(())
/// ```
#[derive(Debug)]
pub struct ProcessGroup {
    rank: usize,
    world_size: usize,
    star: Star,
    #[cfg(feature = "nccl")]
    nccl: Option<nccl::Nccl>,
}

impl ProcessGroup {
    /// Meets the other processes, and returns once all are there.
    ///
    /// # Errors
    /// When the rank is not below the number of processes, two processes have one rank or disagree about their number, the
    /// address cannot be listened at or reached, or a process has not come in time.
    pub fn connect(rendezvous: &Rendezvous) -> Result<Self> {
        let Rendezvous { rank, world_size, .. } = *rendezvous;
        if rank >= world_size {
            let value = format!("{rank} of {world_size}");
            return Err(Error::Value { op: "ProcessGroup", argument: "rank", expected: "below world_size", value });
        }
        Ok(Self {
            rank,
            world_size,
            star: Star::connect(rendezvous)?,
            #[cfg(feature = "nccl")]
            nccl: None,
        })
    }

    /// Lets NCCL carry the tensors of `device`, a CUDA device that no other process of the group uses. Each process calls this.
    ///
    /// With `native_sums`, NCCL's own reduction adds up: it moves less and is faster, and the order of its sums, and with it
    /// their last bits, is its own affair.
    ///
    /// # Errors
    /// When `device` is no CUDA device, or NCCL fails.
    #[cfg(feature = "nccl")]
    pub fn nccl(mut self, device: &Device, native_sums: bool) -> Result<Self> {
        let name = if self.rank == 0 { nccl::new_name()?.to_vec() } else { vec![0; nccl::NAME] };
        let names = self.star.all_gather(&name)?;
        let name = names.first().map_or(&name[..], Vec::as_slice);
        self.nccl = Some(nccl::Nccl::new(device, self.rank, self.world_size, name, native_sums)?);
        Ok(self)
    }

    /// This process's number, from 0.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// How many processes there are.
    pub fn world_size(&self) -> usize {
        self.world_size
    }

    /// The tensors of all processes, by rank, on the device of this one's: each gives one of the same shape and dtype, float32 or
    /// float64.
    ///
    /// # Errors
    /// When the dtype is another, the sizes differ, or a process is lost.
    pub fn all_gather(&mut self, tensor: &Tensor) -> Result<Vec<Tensor>> {
        if !matches!(tensor.dtype(), DType::F32 | DType::F64) {
            let value = tensor.dtype().as_str().to_owned();
            return Err(Error::Value { op: "ProcessGroup", argument: "dtype", expected: "f32 or f64", value });
        }
        #[cfg(feature = "nccl")]
        if let Some(nccl) = self.nccl.as_ref().filter(|_| tensor.device().is_cuda()) {
            return nccl.all_gather(tensor);
        }
        let all = self.star.all_gather(&bytes_of(tensor)?)?;
        all.iter().map(|bytes| tensor_of(bytes, tensor)).collect()
    }

    /// The sum of the tensors of all processes, as [`all_gather`](ProcessGroup::all_gather) takes them, added up by rank: in
    /// every process the same bits.
    ///
    /// # Errors
    /// As those of [`all_gather`](ProcessGroup::all_gather).
    pub fn all_reduce(&mut self, tensor: &Tensor) -> Result<Tensor> {
        #[cfg(feature = "nccl")]
        if let Some(nccl) = self.nccl.as_ref().filter(|nccl| nccl.native_sums && tensor.device().is_cuda()) {
            return nccl.all_reduce(tensor);
        }
        let mut all = self.all_gather(tensor)?.into_iter();
        let first = all.next().unwrap_or_else(|| tensor.clone());
        Ok(all.try_fold(first, |sum, tensor| sum + tensor)?)
    }

    /// Closes the connections: what the others wait for then fails.
    pub(crate) fn leave(&mut self) {
        self.star.close();
    }
}

/// The elements in row-major order, little-endian.
fn bytes_of(tensor: &Tensor) -> Result<Vec<u8>> {
    let flat = tensor.flatten_all()?;
    match tensor.dtype() {
        DType::F64 => Ok(flat.to_vec1::<f64>()?.into_iter().flat_map(f64::to_le_bytes).collect()),
        _ => Ok(flat.to_vec1::<f32>()?.into_iter().flat_map(f32::to_le_bytes).collect()),
    }
}

/// A tensor of those elements, otherwise like `like`.
fn tensor_of(bytes: &[u8], like: &Tensor) -> Result<Tensor> {
    let flat = match like.dtype() {
        DType::F64 => Tensor::from_iter(numbers(bytes).map(f64::from_le_bytes), &Device::Cpu)?,
        _ => Tensor::from_iter(numbers(bytes).map(f32::from_le_bytes), &Device::Cpu)?,
    };
    Ok(flat.reshape(like.shape())?.to_device(like.device())?)
}

fn numbers<const N: usize>(bytes: &[u8]) -> impl Iterator<Item = [u8; N]> + '_ {
    bytes.as_chunks::<N>().0.iter().copied()
}
