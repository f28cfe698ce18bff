//! Several processes that train together: `--processes` starts them, or something like torchrun does.

use std::net::TcpListener;
use std::process::{Child, Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use taper::Device;
use taper::trainer::distributed::{ProcessGroup, Rendezvous};

use crate::error::{Error, Result};

/// How long processes that were asked to stop may take to.
const GRACE: Duration = Duration::from_secs(30);

/// Starts `count` processes of this program, each with these arguments but `--processes`, and waits for them.
pub(crate) fn launch(count: u16) -> Result<ExitCode> {
    let program = std::env::current_exe()?;
    let mut arguments = Vec::new();
    let mut given = std::env::args_os().skip(1);
    while let Some(argument) = given.next() {
        if argument == "--processes" {
            given.next();
        } else if !argument.to_string_lossy().starts_with("--processes=") {
            arguments.push(argument);
        }
    }
    // Free now, and nobody takes it by chance before rank 0 does.
    let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stop);
    ctrlc::set_handler(move || asked.store(true, Ordering::Relaxed))?;
    let start = |rank: u16| {
        let mut command = Command::new(&program);
        command.args(&arguments).arg("--join").envs([("MASTER_ADDR", "127.0.0.1")]);
        let numbers = [("RANK", rank), ("LOCAL_RANK", rank), ("WORLD_SIZE", count), ("MASTER_PORT", port)];
        command.envs(numbers.map(|(name, number)| (name, number.to_string()))).spawn()
    };
    let mut children = Vec::new();
    for rank in 0..count {
        match start(rank) {
            Ok(child) => children.push(child),
            Err(error) => {
                children.iter_mut().for_each(end);
                return Err(Error::new(format!("process {rank} does not start: {error}")));
            }
        }
    }
    wait(children, &stop)
}

/// Waits until all have ended. Ctrl-C reaches them too, and one that fails takes those along that have met: they stop by
/// themselves; what does not, such as one that still waits for a process that never came, is ended.
fn wait(mut children: Vec<Child>, stop: &AtomicBool) -> Result<ExitCode> {
    let (mut code, mut asked) = (ExitCode::SUCCESS, None);
    while !children.is_empty() {
        let mut running = Vec::new();
        for mut child in children {
            match child.try_wait()? {
                None => running.push(child),
                Some(status) if status.success() => {}
                Some(_) => {
                    code = ExitCode::FAILURE;
                    stop.store(true, Ordering::Relaxed);
                }
            }
        }
        children = running;
        if stop.load(Ordering::Relaxed) && asked.get_or_insert_with(Instant::now).elapsed() > GRACE {
            children.iter_mut().for_each(end);
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(code)
}

fn end(child: &mut Child) {
    // It may have ended by itself.
    let _ = child.kill();
}

/// What torchrun, and [`launch`], tell each process by variables of the environment.
pub(crate) fn join() -> Result<(Rendezvous, usize)> {
    let [rank, world_size, local_rank] = [number("RANK")?, number("WORLD_SIZE")?, number("LOCAL_RANK")?];
    let address = format!("{}:{}", variable("MASTER_ADDR")?, number("MASTER_PORT")?);
    Ok((Rendezvous::new(rank, world_size, address), local_rank))
}

/// The group; NCCL carries what lies on a CUDA device, where it was built in.
#[cfg_attr(not(feature = "nccl"), allow(unused_variables, reason = "TCP carries tensors from and to any device"))]
pub(crate) fn connect(rendezvous: &Rendezvous, device: &Device) -> Result<ProcessGroup> {
    let group = ProcessGroup::connect(rendezvous)?;
    #[cfg(feature = "nccl")]
    if device.is_cuda() {
        return Ok(group.nccl(device, false)?);
    }
    Ok(group)
}

fn variable(name: &str) -> Result<String> {
    std::env::var(name)
        .map_err(|_| Error::new(format!("--join reads {name} of the environment, which is not set: torchrun sets it")))
}

fn number(name: &str) -> Result<usize> {
    let text = variable(name)?;
    text.parse().map_err(|_| Error::new(format!("--join reads {name} of the environment: {text:?} is no number")))
}
