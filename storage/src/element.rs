//! The element types a part may have.

#[cfg(target_endian = "big")]
compile_error!("kithdb stores arrays as they lie in memory and needs a little-endian machine");

mod sealed {
    pub trait Sealed {}
}

/// A number that parts are made of. Stored little-endian, named in the manifest by [`Element::DTYPE`].
///
/// Implemented for the fixed-width integers and floats; sealed, since a new type is a new format.
pub trait Element: bytemuck::Pod + sealed::Sealed {
    /// The type's name in the manifest, for example `"u32"`.
    const DTYPE: &'static str;
}

macro_rules! elements {
    ($($type:ident),*) => {$(
        impl sealed::Sealed for $type {}
        impl Element for $type {
            const DTYPE: &'static str = stringify!($type);
        }
    )*};
}

elements!(u8, i8, u16, i16, u32, i32, u64, i64, f32, f64);

/// Bytes of one element of a stored type, or `None` for a type this version does not know.
pub(crate) fn width(dtype: &str) -> Option<u64> {
    Some(match dtype {
        "u8" | "i8" => 1,
        "u16" | "i16" => 2,
        "u32" | "i32" | "f32" => 4,
        "u64" | "i64" | "f64" => 8,
        _ => return None,
    })
}
