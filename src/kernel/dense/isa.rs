//! Which instruction set the dense loops run on.

use crate::error::{Error, Result};
use crate::kernel::popcount::{KERNEL_VARIABLE, Kernel};

/// An instruction set the dense loops are compiled for, and the proof that this machine has it: only detection makes one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Isa(Set);

/// The instruction sets, in rising order of preference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Set {
    /// The target's baseline (SSE2 on x86-64, NEON on aarch64).
    Baseline,
    /// AVX2 with fused multiply-add.
    Avx2,
    /// AVX-512 F, VL, DQ, BW.
    Avx512,
}

impl Set {
    /// Every set of this build, whether or not this machine has it.
    const ALL: [Set; 3] = [Set::Baseline, Set::Avx2, Set::Avx512];

    /// The name used in messages.
    fn name(self) -> &'static str {
        match self {
            Set::Baseline => "scalar",
            Set::Avx2 => "avx2",
            Set::Avx512 => "avx512",
        }
    }

    /// Whether this machine can run it: whether it has every feature that [`dispatch`] enables for the set.
    fn is_available(self) -> bool {
        match self {
            Set::Baseline => true,
            #[cfg(target_arch = "x86_64")]
            Set::Avx2 => is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Set::Avx512 => {
                Set::Avx2.is_available()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("avx512bw")
            }
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }
}

impl Isa {
    /// What every machine of the target has.
    pub(crate) const BASELINE: Isa = Isa(Set::Baseline);

    /// The set, of this machine; `None` where it lacks it.
    fn detect(set: Set) -> Option<Isa> {
        set.is_available().then_some(Isa(set))
    }

    /// Which set it is.
    pub(super) fn set(self) -> Set {
        self.0
    }

    /// The sets this machine can run, for tests and benches.
    #[cfg(test)]
    pub(crate) fn available() -> impl Iterator<Item = Isa> {
        Set::ALL.into_iter().filter_map(Isa::detect)
    }

    /// The set to train on: the one named by the environment variable `KITHDB_KERNEL`, else the best one available.
    ///
    /// # Errors
    /// `InvalidArgument` when the variable names a set that this machine, or this build, does not have.
    pub(crate) fn chosen() -> Result<Isa> {
        if std::env::var_os(KERNEL_VARIABLE).is_none() {
            return Ok(Set::ALL.into_iter().rev().find_map(Isa::detect).unwrap_or(Isa::BASELINE));
        }
        let set = match Kernel::from_env() {
            Ok(Kernel::Avx512 | Kernel::Avx512Bw) => Set::Avx512,
            Ok(Kernel::Avx2) => Set::Avx2,
            Ok(_) => Set::Baseline,
            Err(error) => return Err(refusal(error.to_string())),
        };
        Isa::detect(set).ok_or_else(|| refusal(format!("{KERNEL_VARIABLE}={} cannot train here", set.name())))
    }
}

fn refusal(what: String) -> Error {
    let remedy = format!("unset {KERNEL_VARIABLE}, or name a kernel this machine has");
    Error::InvalidArgument { what, remedy }
}

/// Fused where the set has it; a separate multiplication and addition elsewhere, since the fused library call is slow.
#[inline(always)]
pub(super) fn fma<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED || cfg!(any(target_arch = "aarch64", target_feature = "fma")) { a.mul_add(b, c) } else { a * b + c }
}

/// Defines functions whose first argument is the [`Isa`] to run on, each from a generic body `body::<FUSED>` marked
/// `#[inline(always)]`, so that it is compiled anew under the features of each set.
macro_rules! dispatch {
    ($($(#[$attr:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? = $body:ident;)*) => {$(
        $(#[$attr])*
        $vis fn $name(isa: Isa, $($arg: $ty),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2($($arg: $ty),*) $(-> $ret)? {
                $body::<true>($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma")]
            fn avx512($($arg: $ty),*) $(-> $ret)? {
                $body::<true>($($arg),*)
            }
            match isa.set() {
                // SAFETY: an `Isa` of this set proves that the processor reported every feature enabled on the callee.
                #[cfg(target_arch = "x86_64")]
                $crate::kernel::dense::isa::Set::Avx2 => unsafe { avx2($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                $crate::kernel::dense::isa::Set::Avx512 => unsafe { avx512($($arg),*) },
                _ => $body::<false>($($arg),*),
            }
        }
    )*};
}
pub(super) use dispatch;
