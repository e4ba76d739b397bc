#![allow(unsafe_code)]

use super::super::portable::{self, Pass, Plain};
use super::super::{Source, scalar};

/// Whether this processor counts the bits of bytes, 64 at a time.
pub(in super::super) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vpopcntdq")
        && is_x86_feature_detected!("avx512bitalg")
}

/// [`super::super::Kernel::scan_many`]; scalar where the processor lacks the instructions.
pub(in super::super) fn scan<S: Source>(pass: Pass<'_, S>) {
    if !is_available() {
        return scalar::scan(pass);
    }
    // SAFETY: the features of `scan_inner` were just detected.
    unsafe { scan_inner(pass) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vpopcntdq,avx512bitalg")]
fn scan_inner<S: Source>(pass: Pass<'_, S>) {
    portable::scan::<Plain, S>((), pass);
}
