#![allow(unsafe_code)]

use std::ops::Range;

use super::super::portable::{self, Plain, Words};
use super::super::{Sink, Source, scalar};

/// Whether this processor counts bits of 32-bit lanes.
pub(in super::super) fn is_available() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vpopcntdq")
}

/// [`super::super::Kernel::scan`]; scalar where the processor lacks the instructions.
pub(in super::super) fn scan<S: Source>(
    source: &S,
    query: &S::Query,
    range: Range<usize>,
    threshold: f32,
    sink: &mut Sink<'_>,
) {
    if !is_available() {
        return scalar::scan(source, query, range, threshold, sink);
    }
    // SAFETY: the features of `scan_inner` were just detected.
    unsafe { scan_inner(source, query, range, threshold, sink) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512dq,avx512vpopcntdq")]
fn scan_inner<S: Source>(source: &S, query: &S::Query, range: Range<usize>, threshold: f32, sink: &mut Sink<'_>) {
    portable::scan::<Plain<Words>, S>((), source, query, range, threshold, sink);
}
