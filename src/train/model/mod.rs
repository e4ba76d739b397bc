//! What is trained: the names of models and of their parts, as users of the field know them; options, settings, and the parts they come to.

pub(crate) mod estimate;
pub(crate) mod options;
pub(crate) mod plan;
pub(crate) mod recipe;
pub(crate) mod report;
pub(crate) mod settings;
pub(crate) mod size;
mod written;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Defines an enum whose variants have names: `NAMES`, `Display`, `FromStr`, the same names in serialised form, and what each is, as its documentation says.
macro_rules! named {
    ($(#[$attr:meta])* $vis:vis enum $kind:ident ($what:literal) {
        $($(#[doc = $about:literal])+ $variant:ident = $name:literal,)*
    }) => {
        $(#[$attr])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
        #[non_exhaustive]
        $vis enum $kind {
            $($(#[doc = $about])+ #[serde(rename = $name)] $variant,)*
        }

        impl $kind {
            /// All names, in the order of the variants.
            pub const NAMES: &'static [&'static str] = &[$($name),*];

            /// What it is, in a line.
            pub fn about(self) -> &'static str {
                match self {
                    $($kind::$variant => concat!($($about),+).trim_ascii_start(),)*
                }
            }

            /// The name.
            pub fn name(self) -> &'static str {
                match self {
                    $($kind::$variant => $name,)*
                }
            }
        }

        impl fmt::Display for $kind {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl FromStr for $kind {
            type Err = Error;

            fn from_str(name: &str) -> Result<$kind> {
                match name {
                    $($name => Ok($kind::$variant),)*
                    _ => Err(Error::InvalidArgument {
                        what: format!("{} {name:?}", $what),
                        remedy: format!("choose one of {}", Self::NAMES.join(", ")),
                    }),
                }
            }
        }
    };
}

named! {
    /// What is trained: a teacher, a student, and the settings they are known with. Each part can be replaced, and each setting changed, by
    /// [`TrainOptions`](super::TrainOptions).
    pub enum Model ("model") {
        /// kithdb's own: implicit ALS with sparse neighbours of items and of users, codes fitted to their scores bit by bit, settings read off the graph. The default.
        Recipe = "recipe",
        /// BiGeaR (Chen et al., KDD 2022): LightGCN with weighted layers as teacher; signs of every layer, distilled by lists.
        Bigear = "bigear",
        /// BiGeaR++ (Chen et al., TOIS 2025): BiGeaR with K-pair BPR, synthesised negatives and dual inference distillation.
        BigearPlus = "bigear++",
        /// LightGCN (He et al., SIGIR 2020), then signs of its rotated vectors.
        LightGcn = "lightgcn",
        /// NGCF (Wang et al., SIGIR 2019): LightGCN with weights and an activation a hop, then codes fitted to its scores.
        Ngcf = "ngcf",
        /// SGCN (Chen et al., SIGIR 2021): LightGCN that learns which edges to propagate over, then codes fitted to its scores; with the teacher ngcf the same for NGCF.
        Sgcn = "sgcn",
        /// L2Q-GCN (arXiv 2112.01944): codes learned inside the convolution at every depth, without a teacher.
        L2q = "l2q-gcn",
        /// L2Q-GCN_anl: the same with scalers and annealed gradients.
        L2qAnl = "l2q-gcn_anl",
        /// PinSage (Ying et al., KDD 2018) on users and items, trained end to end, then codes fitted to its scores.
        PinSage = "pinsage",
        /// LightGCN by BPR against negatives mixed hop by hop (MixGCF: Huang et al., KDD 2021), then codes fitted to its scores.
        MixGcf = "mixgcf",
        /// DGCN-BinCF (Wang et al., IJCAI 2019): GCN-CF as teacher; signs trained through tanh, which follow its order of a user's items. 192 bits by default.
        DgcnBinCf = "dgcn-bincf",
        /// GCN-CF, the teacher of DGCN-BinCF: two convolutions and crosses between them, then codes fitted to its scores.
        GcnCf = "gcn-cf",
        /// SpectralCF (Zheng et al., RecSys 2018): convolutions with the identity beside the graph, then codes fitted to its scores.
        SpectralCf = "spectralcf",
        /// Matrix factorisation by sampled softmax, then signs of its rotated vectors.
        Mf = "mf",
        /// OneBP (arXiv 2403.18227), whose items take gradients and whose users follow them, then codes fitted to its scores.
        OneBp = "onebp",
        /// Implicit-feedback ALS, then signs of its rotated vectors.
        Ials = "ials",
    }
}

// The macro takes documentation of variants and no other attributes.
#[allow(clippy::derivable_impls)]
impl Default for Model {
    fn default() -> Self {
        Model::Recipe
    }
}

named! {
    /// A model of full precision.
    pub enum TeacherKind ("teacher") {
        /// Implicit-feedback alternating least squares.
        Ials = "ials",
        /// Free tables, trained with any loss and sampler.
        Mf = "mf",
        /// Free tables; items take the gradient of InfoNCE, users average the items they have.
        OneBp = "onebp",
        /// Tables propagated over the graph, trained alike.
        LightGcn = "lightgcn",
        /// The same with weights and an activation a hop.
        Ngcf = "ngcf",
        /// Codes inside the convolution, which are its vectors.
        L2q = "l2q-gcn",
        /// Tables passed through dense layers over the most visited neighbours, trained alike.
        PinSage = "pinsage",
        /// Two spectral convolutions of normalised inputs, with crosses of every node with itself between them.
        GcnCf = "gcn-cf",
        /// Spectral convolutions.
        SpectralCf = "spectralcf",
    }
}

impl TeacherKind {
    /// Whether it propagates over the graph, so that its layers are its own.
    pub(crate) fn has_hops(self) -> bool {
        use TeacherKind::{L2q, LightGcn, Ngcf, PinSage, SpectralCf};
        matches!(self, LightGcn | Ngcf | L2q | PinSage | SpectralCf)
    }
}

named! {
    /// What turns a teacher's vectors into codes.
    pub enum StudentKind ("student") {
        /// The signs as they are, with mean magnitudes as scalers: no training.
        Signs = "signs",
        /// Codes fitted to the teacher's scores by discrete coordinate descent.
        Discrete = "discrete",
        /// Codes of every layer of a propagation, trained as BiGeaR and BiGeaR++ do.
        Bigear = "bigear",
        /// Signs trained through tanh, from interactions and the teacher's order of them, as DGCN-BinCF does.
        BinCf = "bincf",
    }
}

named! {
    /// What a gradient-trained teacher takes as an item the user would not want.
    pub enum Sampler ("sampler") {
        /// Any item the user has not touched.
        Uniform = "uniform",
        /// An item drawn in proportion to a power of its degree.
        Popularity = "popularity",
        /// Of some uniform candidates the one scored highest (DNS: Zhang et al., SIGIR 2013).
        Dynamic = "dynamic",
        /// Of some uniform candidates, each mixed with the positive, layer by layer the one scored highest (MixGCF: Huang et al., KDD 2021).
        Synthesised = "synthesised",
    }
}

named! {
    /// What a gradient-trained teacher minimises.
    pub enum Loss ("loss") {
        /// `softplus(s(u, n) - s(u, p))`, one negative (Rendle et al., UAI 2009).
        Bpr = "bpr",
        /// `log(1 + sum over K negatives of exp(s(u, n) - s(u, p)))`.
        KBpr = "k-bpr",
        /// The same over a temperature: InfoNCE with negatives of the pair's own.
        InfoNce = "infonce",
        /// Softmax against negatives that a block of users shares.
        Softmax = "softmax",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_what_they_name() {
        for name in Model::NAMES {
            let model = name.parse::<Model>().unwrap();
            assert_eq!(model.name(), *name);
            assert!(model.about().len() > 20 && model.about().is_ascii(), "{}", model.about());
        }
        let error = "bigear+".parse::<Model>().unwrap_err().to_string();
        assert!(error.contains("bigear+") && error.contains("bigear++") && error.contains("lightgcn"), "{error}");
    }
}
