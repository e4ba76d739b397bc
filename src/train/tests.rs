//! What every training must do, on graphs whose right answer is known.

use std::sync::atomic::{AtomicU64, Ordering};

use rand_xoshiro::Xoshiro256PlusPlus;
use rand_xoshiro::rand_core::SeedableRng;

use super::context::Context;
use super::measure::holdout::Holdout;
use super::measure::validation::Validation;
use super::optim::random;
use super::*;
use crate::error::Error;
use crate::graph::Bipartite;
use crate::kernel::dense::Isa;
use crate::kernel::popcount::Kernel;

/// Nine users and twelve items with some interactions, and one of each without.
pub(crate) fn graph() -> Bipartite {
    let edges: Vec<_> = (0..40u32).map(|e| (e * 7 % 9, e * 13 % 12, 1.0)).collect();
    Bipartite::from_edges(10, 13, &edges).unwrap()
}

/// A context over a whole graph, with nothing held out.
pub(super) fn context<'a>(graph: &'a Bipartite, monitor: &'a dyn Monitor) -> Context<'a> {
    let validation = Box::leak(Box::new(Validation::new(&Holdout::none(graph), 0)));
    let (isa, popcount) = (Isa::chosen().unwrap(), Kernel::from_env().unwrap());
    Context { graph, validation, isa, popcount, seed: 1, monitor }
}

/// Two blocks of 60 users and 40 items; every user touches about three quarters of its own block's items and none of the other's.
/// The last user and the last item have no interactions.
pub(crate) fn two_blocks() -> Bipartite {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(9);
    let edges: Vec<(u32, u32, f32)> = (0..120u32)
        .flat_map(|user| (0..40u32).map(move |at| (user, at)))
        .filter(|_| random::below(&mut rng, 4) > 0)
        .map(|(user, at)| (user, at + 40 * (user / 60), 1.0))
        .collect();
    Bipartite::from_edges(121, 81, &edges).unwrap()
}

fn options(preset: Preset) -> TrainOptions {
    TrainOptions::new(preset).bits(192).threads(2)
}

/// Scores of the codes with all query planes, from the definition.
fn score(trained: &Trained, user: usize, item: usize) -> f32 {
    let shape = trained.items.shape().clone();
    (0..shape.layers())
        .map(|layer| {
            let width = shape.widths()[layer] as usize;
            let (mut u, mut i) = (vec![0.0; width], vec![0.0; width]);
            trained.users.decode_into(user, layer, &mut u).unwrap();
            trained.items.decode_into(item, layer, &mut i);
            let weight = shape.weights()[layer];
            weight * weight * u.iter().zip(&i).map(|(a, b)| a * b).sum::<f32>()
        })
        .sum()
}

/// Every model and preset, with settings that suit a graph this small.
fn every_model() -> Vec<(String, TrainOptions)> {
    let model = |model| options(Preset::Balanced).model(model);
    let small = |options: TrainOptions| {
        options.set("teacher.epochs", 30).set("teacher.pool", 32).set("teacher.batch", 32).set("teacher.rate", 0.05)
    };
    let bigear = |name| small(model(name)).set("student.epochs", 5);
    let lightgcn = || small(model(Model::LightGcn));
    let onebp = || model(Model::OneBp).set("teacher.epochs", 30).set("teacher.batch", 128).set("teacher.rate", 0.05);
    let small_bincf = |options: TrainOptions| {
        options.student(StudentKind::BinCf).set("student.epochs", 20).set("student.batch", 32).set("student.rate", 0.05)
    };
    [
        ("fast", options(Preset::Fast)),
        ("balanced", options(Preset::Balanced)),
        ("ials", model(Model::Ials)),
        ("ials without rotation", TrainOptions { bits: None, ..model(Model::Ials) }.set("codes.rotation", "none")),
        ("mf", small(model(Model::Mf))),
        ("mf, popularity", small(model(Model::Mf)).sampler(Sampler::Popularity)),
        ("onebp", onebp()),
        ("onebp, flipped", onebp().set("teacher.flipped", "on").set("teacher.momentum", 0.9)),
        ("lightgcn", lightgcn()),
        ("lightgcn, from onebp", lightgcn().set("teacher.start", "onebp").set("teacher.start_epochs", 3)),
        ("lightgcn, bpr", lightgcn().loss(Loss::Bpr)),
        ("lightgcn, infonce, dynamic", lightgcn().loss(Loss::InfoNce).sampler(Sampler::Dynamic)),
        (
            "lightgcn, weighted, k-bpr, synthesised",
            lightgcn()
                .loss(Loss::KBpr)
                .sampler(Sampler::Synthesised)
                .set("teacher.pooling", "weighted")
                .set("codes.rotation", "none"),
        ),
        ("sgcn", small(model(Model::Sgcn))),
        ("sgcn, pathwise", small(model(Model::Sgcn)).set("teacher.mask_gradient", "pathwise")),
        ("sgcn, ngcf", small(model(Model::Sgcn)).teacher(TeacherKind::Ngcf)),
        ("l2q-gcn", small(model(Model::L2q))),
        ("l2q-gcn_anl", small(model(Model::L2qAnl))),
        ("ngcf", small(model(Model::Ngcf))),
        ("ngcf, cosines, discrete", small(model(Model::Ngcf)).loss(Loss::Softmax).student(StudentKind::Discrete)),
        ("pinsage", small(model(Model::PinSage))),
        ("mixgcf, pinsage", small(model(Model::MixGcf)).teacher(TeacherKind::PinSage)),
        ("mixgcf", small(model(Model::MixGcf))),
        ("mixgcf of one hop's choice", small(model(Model::MixGcf)).set("teacher.hop_mixing", "off")),
        ("mixgcf, ngcf", small(model(Model::MixGcf)).teacher(TeacherKind::Ngcf).set("teacher.mixing", "off")),
        ("bigear", bigear(Model::Bigear)),
        ("bigear++", bigear(Model::BigearPlus)),
        ("bigear++, one final sign", bigear(Model::BigearPlus).set("student.layerwise", "off")),
        ("bigear++, ials", model(Model::BigearPlus).teacher(TeacherKind::Ials).set("student.epochs", 5)),
        ("dgcn-bincf", small_bincf(small(model(Model::DgcnBinCf)))),
        ("gcn-cf", small(model(Model::GcnCf))),
        ("gcn-cf, from onebp", small(model(Model::GcnCf)).set("teacher.start", "onebp").set("teacher.start_epochs", 3)),
        ("mf, from onebp", small(model(Model::Mf)).set("teacher.start", "onebp").set("teacher.start_epochs", 3)),
        ("gcn-cf, tanh", small(model(Model::GcnCf)).set("teacher.activation", "tanh").set("teacher.crosses", "off")),
        // Activations that are not normalised are all positive: what all users share is most of every score, and codes fitted to scores spend their
        // bits on that.
        (
            "gcn-cf without normalisation",
            small(model(Model::GcnCf)).set("teacher.normalise", "off").student(StudentKind::Signs),
        ),
        ("spectralcf", small(model(Model::SpectralCf)).layers(2)),
        ("bincf, ials", small_bincf(model(Model::Ials))),
        ("bincf, lightgcn", small_bincf(lightgcn())),
        ("bincf without ranks", small_bincf(lightgcn()).set("student.rank_weight", 0)),
        ("best", options(Preset::Best)),
        ("lightgcn, discrete", lightgcn().student(StudentKind::Discrete)),
        ("discrete, three layers", options(Preset::Balanced).layers(2)),
    ]
    .map(|(name, options)| (name.to_owned(), options))
    .to_vec()
}

#[test]
fn an_item_whose_interactions_are_all_held_out_has_a_code_by_its_users() {
    let blocks = two_blocks();
    let mut edges: Vec<(u32, u32, f32)> = (0..120u32)
        .flat_map(|user| blocks.users().row(user as usize).iter().map(move |&item| (user, item, 1.0)))
        .collect();
    // One item more for every user of the first block: of some, the one interaction is held out.
    edges.extend((1..60).map(|user| (user, 80 + user, 1.0)));
    let graph = Bipartite::from_edges(121, 140, &edges).unwrap();
    let split = Holdout::split(&graph);
    let alone: Vec<usize> =
        (81..140).filter(|&item| split.trained.items().degree(item) == 0 && graph.items().degree(item) > 0).collect();
    assert!(!alone.is_empty());
    let some = ["fast", "balanced", "ials", "lightgcn", "bigear"];
    for (name, options) in every_model().into_iter().filter(|(name, _)| some.contains(&name.as_str())) {
        let options = options.set("refit", "off");
        let trained = train(&graph, &options, &()).unwrap();
        for &item in &alone {
            assert!(trained.items.row(item).scalers.iter().any(|&scaler| scaler > 0.0), "{name} {item}");
            let mean =
                |users: std::ops::Range<usize>| users.map(|user| score(&trained, user, item)).sum::<f32>() / 60.0;
            assert!(mean(0..60) > mean(60..120), "{name} {item}");
        }
    }
}

#[test]
fn a_planted_block_is_ranked_first() {
    let graph = two_blocks();
    for (name, options) in every_model() {
        let trained = train(&graph, &options, &()).unwrap();
        let own: usize = (0..120usize)
            .map(|user| {
                let mut items: Vec<usize> = (0..81).collect();
                items.sort_by(|&a, &b| score(&trained, user, b).total_cmp(&score(&trained, user, a)));
                items[..40].iter().filter(|&&item| item / 40 == user / 60).count()
            })
            .sum();
        let share = own as f64 / (120.0 * 40.0);
        assert!(share > 0.96, "{name}: {share} of the first 40 items belong to the user's block, by chance half");
        assert!(trained.report.teacher_recall.is_some_and(|recall| recall > 0.6), "{name}: {:?}", trained.report);
    }
}

#[test]
fn nodes_without_interactions_have_zero_scalers() {
    let trained = train(&two_blocks(), &options(Preset::Fast), &()).unwrap();
    let layers = trained.items.shape().layers();
    assert_eq!(trained.users.len(), 121);
    assert_eq!(trained.items.len(), 81);
    assert!(trained.users.scalers()[120 * layers..].iter().all(|&scaler| scaler == 0.0));
    assert!(trained.items.scalers()[80 * layers..].iter().all(|&scaler| scaler == 0.0));
    assert!(trained.users.scalers()[..120 * layers].iter().all(|&scaler| scaler > 0.0));
}

#[test]
fn nothing_is_kept_of_nodes_without_interactions() {
    let graph = two_blocks();
    let some = ["fast", "dgcn-bincf"];
    for (name, options) in every_model().into_iter().filter(|(name, _)| some.contains(&name.as_str())) {
        let state = train(&graph, &options, &()).unwrap().state;
        let rows = |state: &TrainState, count| {
            let tables = state.parts.iter().filter(|part| !part.name.starts_with("rows."));
            tables.filter(|part| part.shape[0] == count).count()
        };
        let (users, items) = (rows(&state, 121), rows(&state, 81));
        let kept = state.of_active(&graph);
        assert_eq!((rows(&kept, 121), rows(&kept, 81)), (0, 0), "{name}");
        assert!(users > 1 && (rows(&kept, 120), rows(&kept, 80)) == (users, items), "{name}: {users} {items}");
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let graph = two_blocks();
    for (_, options) in every_model() {
        let with = |threads| train(&graph, &options.clone().threads(threads), &()).unwrap();
        let one = with(1);
        for threads in [2, 3] {
            let many = with(threads);
            assert_eq!(one.users, many.users);
            assert_eq!(one.items, many.items);
            assert_eq!(one.state, many.state);
            assert_eq!(one.report, many.report);
        }
    }
}

/// Items that go in pairs, more pairs than a small graph gets factors.
fn pairs() -> Bipartite {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(5);
    let pairs: Vec<(u32, u32)> = (0..120 * 12).map(|at| (at / 12, 2 * random::below(&mut rng, 40) as u32)).collect();
    let edges: Vec<_> = pairs.iter().flat_map(|&(user, item)| [(user, item, 1.0), (user, item + 1, 1.0)]).collect();
    Bipartite::from_edges(121, 81, &edges).unwrap()
}

/// Users who go in pairs, as [`pairs`] of items do.
fn twins() -> Bipartite {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(6);
    let pairs: Vec<(u32, u32)> = (0..60 * 14).map(|at| (2 * (at / 14), random::below(&mut rng, 80) as u32)).collect();
    let edges: Vec<_> = pairs.iter().flat_map(|&(user, item)| [(user, item, 1.0), (user + 1, item, 1.0)]).collect();
    Bipartite::from_edges(121, 81, &edges).unwrap()
}

#[test]
fn what_is_kept_of_a_teacher_scores_as_it_did() {
    let (mut with_neighbours, mut with_user_neighbours) = (0, 0);
    let graphs = every_model().into_iter().map(|(name, options)| (name, options, two_blocks()));
    let [paired, twins] = [("balanced, pairs", pairs()), ("balanced, twins", twins())]
        .map(|(name, graph)| (name.to_owned(), options(Preset::Balanced), graph));
    for (name, options, graph) in graphs.chain([paired, twins]) {
        let split = Holdout::split(&graph);
        let Trained { state, report, .. } = train(&graph, &options.set("refit", "off"), &()).unwrap();
        let part = |name: &str| state.parts.iter().find(|part| part.name == name);
        let floats = |name: &str| match part(name).map(|part| (&part.data, part.shape[1] as usize)) {
            Some((StateData::Floats(values), width)) => (values.clone(), width),
            other => panic!("{name}: {other:?}"),
        };
        let ((users, width), (items, _)) = (floats("teacher.users"), floats("teacher.items"));
        let mut scores = vec![vec![0.0f64; 81]; 121];
        for (user, scores) in scores.iter_mut().enumerate() {
            for (item, score) in scores.iter_mut().enumerate() {
                let pairs = users[user * width..][..width].iter().zip(&items[item * width..][..width]);
                *score = pairs.map(|(&a, &b)| f64::from(a) * f64::from(b)).sum();
            }
        }
        if let (Some(counts), Some(nearest)) =
            (part("teacher.item_neighbours.counts"), part("teacher.item_neighbours.items"))
            && let (StateData::Integers(counts), StateData::Integers(nearest)) = (&counts.data, &nearest.data)
        {
            with_neighbours += 1;
            let (weights, _) = floats("teacher.item_neighbours.weights");
            let mut entries = nearest.iter().zip(weights);
            for (item, &count) in counts.iter().enumerate() {
                for (&other, weight) in entries.by_ref().take(count as usize) {
                    for &user in split.trained.items().row(other as usize) {
                        scores[user as usize][item] += f64::from(weight);
                    }
                }
            }
        }
        if let (Some(counts), Some(nearest)) =
            (part("teacher.user_neighbours.counts"), part("teacher.user_neighbours.users"))
            && let (StateData::Integers(counts), StateData::Integers(nearest)) = (&counts.data, &nearest.data)
        {
            with_user_neighbours += 1;
            let (weights, _) = floats("teacher.user_neighbours.weights");
            let mut entries = nearest.iter().zip(weights);
            for (user, &count) in counts.iter().enumerate() {
                for (&other, weight) in entries.by_ref().take(count as usize) {
                    for &item in split.trained.users().row(other as usize) {
                        scores[user][item as usize] += f64::from(weight);
                    }
                }
            }
        }
        let recall_of = |score: &dyn Fn(usize, usize) -> f64| {
            let users: Vec<usize> = (0..121).filter(|&user| split.held.degree(user) > 0).collect();
            let shares = users.iter().map(|&user| {
                let seen = split.trained.users().row(user);
                let mut items: Vec<u32> = (0..81).filter(|item| !seen.contains(item)).collect();
                items.sort_by(|&a, &b| score(user, b as usize).total_cmp(&score(user, a as usize)).then(a.cmp(&b)));
                let held = split.held.row(user);
                held.iter().filter(|item| items[..20].contains(item)).count() as f64 / held.len() as f64
            });
            shares.sum::<f64>() / users.len() as f64
        };
        let popularity = recall_of(&|_, item| split.trained.items().row(item).len() as f64);
        assert!(report.popularity_recall.is_some_and(|told| (told - popularity).abs() < 1e-9), "{name}: {report:?}");
        let recall = recall_of(&|user, item| scores[user][item]);
        assert!(report.teacher_recall.is_some_and(|told| (told - recall).abs() < 1e-9), "{name}: {recall} {report:?}");
    }
    assert!(with_neighbours > 0 && with_user_neighbours > 0);
}

#[test]
fn novelty_divides_scores_by_degrees() {
    let graph = two_blocks();
    let plain = train(&graph, &options(Preset::Fast), &()).unwrap();
    let novel = train(&graph, &options(Preset::Fast).novelty(0.5), &()).unwrap();
    let degrees = graph.items().degrees();
    let mean = degrees.iter().sum::<u32>() as f32 / 80.0;
    for user in [0, 70, 119] {
        for (item, &degree) in degrees[..80].iter().enumerate() {
            let (before, after) = (score(&plain, user, item), score(&novel, user, item));
            let wanted = before / (degree as f32 / mean).sqrt();
            assert!((after - wanted).abs() < 1e-4 * (1.0 + wanted.abs()), "{user} {item}: {before} {after} {wanted}");
        }
    }
}

/// Weights are confidences relative to each other: all alike they say nothing, and twice as large they say the same.
#[test]
fn weights_count_relative_to_each_other() {
    let plain = two_blocks();
    let weighted = |weight: &dyn Fn(u32, u32) -> f32| {
        let rows = (0..plain.n_users() as u32)
            .flat_map(|user| plain.users().row(user as usize).iter().map(move |&item| (user, item)));
        let edges: Vec<(u32, u32, f32)> = rows.map(|(user, item)| (user, item, weight(user, item))).collect();
        Bipartite::from_edges(plain.n_users(), plain.n_items(), &edges).unwrap()
    };
    for preset in [Preset::Fast, Preset::Balanced] {
        let codes = |graph: &Bipartite| {
            let trained = train(graph, &options(preset), &()).unwrap();
            (trained.users, trained.items)
        };
        assert_eq!(codes(&weighted(&|_, _| 3.0)), codes(&plain));
        let mixed = |user: u32, item: u32| 0.5 + (user + item) as f32 % 4.0;
        let once = codes(&weighted(&mixed));
        assert_eq!(once, codes(&weighted(&|user, item| 2.0 * mixed(user, item))));
        assert_ne!(once, codes(&plain));
    }
}

#[test]
fn the_seed_changes_the_codes() {
    let graph = two_blocks();
    let with = |seed| train(&graph, &options(Preset::Fast).seed(seed), &()).unwrap();
    assert_ne!(with(1).items, with(2).items);
}

#[test]
fn an_empty_graph_is_refused() {
    let graph = Bipartite::from_edges(3, 4, &[]).unwrap();
    let error = train(&graph, &options(Preset::Fast), &()).unwrap_err();
    assert!(matches!(error, Error::InvalidArgument { .. }), "{error}");
}

#[test]
fn the_smallest_graphs_train() {
    for (users, items) in [(1, 1), (1, 5), (5, 1), (2, 3)] {
        let graph = Bipartite::from_edges(users, items, &[(0, 0, 1.0)]).unwrap();
        for (name, options) in every_model() {
            let trained = train(&graph, &options, &()).unwrap();
            assert_eq!((trained.users.len(), trained.items.len()), (users, items), "{name}");
        }
    }
}

/// Counts how often it is asked, and cancels after a number of times.
struct CancelAfter {
    asked: AtomicU64,
    patience: u64,
}

impl Monitor for CancelAfter {
    fn cancelled(&self) -> bool {
        self.asked.fetch_add(1, Ordering::Relaxed) >= self.patience
    }
}

#[test]
fn cancelling_stops_at_every_point() {
    let graph = two_blocks();
    for (name, options) in every_model() {
        let patient = CancelAfter { asked: AtomicU64::new(0), patience: u64::MAX };
        train(&graph, &options, &patient).unwrap();
        let asked = patient.asked.into_inner();
        for patience in (0..asked).step_by(7.max(asked as usize / 30)) {
            let monitor = CancelAfter { asked: AtomicU64::new(0), patience };
            let error = train(&graph, &options, &monitor).err();
            assert!(matches!(error, Some(Error::Cancelled)), "{name}, {patience} of {asked}: {error:?}");
            assert!(monitor.asked.into_inner() <= patience + 8, "{name}: work went on after the cancellation");
        }
    }
}

#[test]
fn gradients_that_diverge_say_what_to_lower() {
    let options = options(Preset::Fast).model(Model::LightGcn).loss(Loss::Bpr).set("teacher.rate", 10);
    let error = train(&two_blocks(), &options, &()).unwrap_err().to_string();
    assert!(error.contains("lower teacher.rate"), "{error}");
    let options = TrainOptions::new(Preset::Fast).bits(192).model(Model::BigearPlus).teacher(TeacherKind::Ials);
    let error = train(&two_blocks(), &options.set("student.rate", 10), &()).unwrap_err().to_string();
    assert!(error.contains("lower student.rate"), "{error}");
}

#[test]
fn weights_of_any_size_train() {
    for least in [f32::MAX, 1.0, f32::MIN_POSITIVE] {
        let edges: Vec<_> =
            (0..200u32).map(|e| (e % 20, e * 7 % 30, if e % 3 == 0 { f32::MAX } else { least })).collect();
        let graph = Bipartite::from_edges(20, 30, &edges).unwrap();
        let trained = train(&graph, &options(Preset::Balanced), &()).unwrap();
        assert!(trained.items.scalers().iter().all(|scaler| scaler.is_finite()));
    }
}

#[test]
fn progress_is_told_in_order() {
    struct Told(parking_lot::Mutex<Vec<(String, u64, u64)>>);
    impl Monitor for Told {
        fn phase(&self, name: &str, of: u64) {
            self.0.lock().push((name.to_owned(), 0, of));
        }
        fn advance(&self, step: u64) {
            if let Some(last) = self.0.lock().last_mut() {
                assert!(step > last.1, "{step} after {}", last.1);
                last.1 = step;
            }
        }
    }
    let told = Told(parking_lot::Mutex::new(Vec::new()));
    train(&two_blocks(), &options(Preset::Fast), &told).unwrap();
    let told = told.0.into_inner();
    // A teacher is fitted as often as more regularisation helps.
    let mut phases: Vec<_> = told.iter().map(|phase| phase.0.as_str()).collect();
    phases.dedup();
    assert_eq!(phases, ["teacher", "student"]);
    assert!(told.iter().all(|phase| phase.1 == phase.2), "{told:?}");
}
