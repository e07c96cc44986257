//! What a run was made by: program, commit, processor, threads. Written into its folder before the first step.

use serde::{Deserialize, Serialize};

use super::DataDigest;

/// Where, when and by what a run was made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// Version of covary.
    pub covary: String,
    /// Commit that the binary was built from, with `-dirty` where the tree had changes; `unknown` outside a repository.
    pub commit: String,
    /// Compiler version.
    pub rustc: String,
    /// Processor as the system names it.
    pub cpu: String,
    /// Instruction set of the kernels.
    pub isa: String,
    /// Precision that `auto` resolved to.
    pub precision: String,
    /// What the networks ran on.
    pub device: String,
    /// Threads of the pool.
    pub threads: usize,
    /// Memory of the machine, bytes.
    pub memory_bytes: u64,
    /// Seconds since 1970 at the start.
    pub started_unix_s: f64,
    /// What its images are known by; none in files of older versions.
    #[serde(default)]
    pub data: Option<DataDigest>,
}

impl Provenance {
    /// Threads of the current pool.
    pub fn threads() -> usize {
        rayon::current_num_threads()
    }

    /// Collects it for a run about to start.
    pub fn collect(isa: &str, precision: &str, device: &str) -> Self {
        let system = sysinfo::System::new().map(|mut system| {
            let () = system.refresh_cpu_all();
            let () = system.refresh_memory();
            system
        });
        let cpu = system
            .as_ref()
            .ok()
            .and_then(|system| Some(system.cpus().first()?.brand().trim().to_owned()));
        Self {
            covary: env!("CARGO_PKG_VERSION").into(),
            commit: env!("COVARY_COMMIT").into(),
            rustc: env!("COVARY_RUSTC").into(),
            cpu: cpu.unwrap_or_else(|| "unknown".into()),
            isa: isa.into(),
            precision: precision.into(),
            device: device.into(),
            threads: Self::threads(),
            memory_bytes: system.map_or(0, |system| system.total_memory()),
            started_unix_s: unix_seconds(),
            data: None,
        }
    }
}

/// Seconds since 1970 by the system's clock; for records only, never for results.
pub fn unix_seconds() -> f64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0.0, |since| since.as_secs_f64())
}

/// Largest resident memory of this process so far, bytes, where the system tells (`VmHWM` of `/proc/self/status`).
pub fn peak_memory_bytes() -> Option<u64> {
    let status = fs_err::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
