use super::*;
use crate::code::tests::flipped_items;

/// The engines and the planner's choice.
pub(super) fn choices() -> impl Iterator<Item = Option<EngineKind>> {
    EngineKind::ALL.into_iter().map(Some).chain([None])
}

pub(super) fn index(items: &LayeredCodes, ranks: &[u32], kernel: Kernel) -> Index {
    Index::build(items, ranks.to_vec(), kernel).unwrap()
}

pub(super) fn chosen_kernel() -> Kernel {
    Kernel::from_env().unwrap()
}

/// A query near to an item, or near to none.
pub(super) fn query(items: &LayeredCodes, planes: u32, near: bool, seed: u64) -> QueryCode {
    if near && !items.is_empty() {
        QueryCode::from_item(items, seed as usize % items.len()).unwrap()
    } else {
        random_query(items.shape(), planes, seed)
    }
}

/// 256 cases, or as many as `KITHDB_DRILL_ROUNDS` says.
fn rounds() -> ProptestConfig {
    let asked = std::env::var("KITHDB_DRILL_ROUNDS").ok().and_then(|rounds| rounds.parse().ok());
    ProptestConfig::with_cases(asked.unwrap_or(256))
}

proptest! {
    #![proptest_config(rounds())]

    #[test]
    fn every_engine_is_a_full_sort(
        shape in shapes(),
        planes in 1..=5u32,
        near: bool,
        rows in prop_oneof![0..70usize, 0..700usize, Just(512), Just(1024), Just(1025)],
        run in 1..200usize,
        flips in prop::sample::select(vec![0usize, 1, 5, 60]),
        k in prop_oneof![1..10usize, 0..800usize, Just(usize::MAX)],
        allow in prop_oneof![3 => Just(None), 1 => (0..=256u32).prop_map(Some), 1 => (0..=12u32).prop_map(Some)],
        deny in prop_oneof![Just(None), (0..=256u32).prop_map(Some), (250..=256u32).prop_map(Some)],
        seen in 0..=256u32,
        seed: u64,
    ) {
        let shape = Arc::new(shape);
        let items = flipped_items(&shape, rows, run, flips, seed);
        let query = query(&items, planes, near, seed ^ 1);
        let ranks = permutation(rows, seed ^ 2);
        let allow = allow.map(|share| subset(rows, share, seed ^ 3));
        let deny: Vec<RoaringBitmap> = deny
            .map(|share| vec![subset(rows, share, seed ^ 4), subset(rows, 20, seed ^ 5)])
            .unwrap_or_default();
        let seen: Vec<u32> = subset(rows, seen, seed ^ 6).into_iter().collect();
        let filter = Filter { allow: allow.as_ref(), deny: deny.iter().collect(), seen: Seen::of(&seen) };
        let expected = naive(&items, &query, &ranks, k, &filter);
        let index = index(&items, &ranks, chosen_kernel());
        for engine in choices() {
            let found = index.search(&query, k, &filter, engine).unwrap();
            prop_assert_eq!(&bits(&found), &expected, "{:?}", engine);
            prop_assert!(found.exact && found.work.codes <= 16 * rows as u64);
        }
    }

    #[test]
    fn an_order_is_a_permutation_in_bands(shape in shapes(), rows in 0..1500usize, run in 1..100usize, seed: u64) {
        let items = flipped_items(&Arc::new(shape), rows, run, 3, seed);
        let order = Order::of(&items);
        order.check().unwrap();
        let mut sorted = order.rows.clone();
        sorted.sort_unstable();
        prop_assert_eq!(sorted, (0..rows as u32).collect::<Vec<u32>>());
        prop_assert_eq!(order.bands.last().copied().unwrap_or(0), rows as u32);
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            prop_assert_eq!(&pool.install(|| Order::of(&items)), &order);
        }
    }
}

/// Enough items for the largest nodes: 100,000 of two layers of 40 bits in clusters.
pub(super) fn large() -> (LayeredCodes, Vec<u32>) {
    let shape = Arc::new(CodeShape::hops(40, 1).unwrap());
    let rows = 100_003;
    (flipped_items(&shape, rows, 150, 6, 5), permutation(rows, 6))
}

/// [`large`] with scalers of 1 to 1.5: with those of the other tests a few items outweigh any agreement of bits.
pub(super) fn large_and_even() -> (LayeredCodes, Vec<u32>) {
    let (items, ranks) = large();
    (evened(&items), ranks)
}

/// The same bits with scalers of 1 to 1.5.
pub(super) fn evened(items: &LayeredCodes) -> LayeredCodes {
    let scalers = (0..items.scalers().len()).map(|i| 1.0 + (i % 97) as f32 / 194.0).collect();
    LayeredCodes::from_parts(Arc::clone(items.shape()), items.words().to_vec(), scalers).unwrap()
}

#[test]
fn three_levels_find_what_the_scan_finds() {
    let (items, ranks) = large();
    let index = index(&items, &ranks, chosen_kernel());
    for seed in 0..40 {
        let query = query(&items, 1 + seed as u32 % 4, seed % 2 == 0, seed);
        let seen: Vec<u32> = subset(items.len(), seed as u32 * 6, seed).into_iter().collect();
        let filter = Filter { seen: Seen::of(&seen), ..Filter::default() };
        for k in [1, 20, 3_000] {
            let linear = index.search(&query, k, &filter, Some(EngineKind::Linear)).unwrap();
            assert_eq!(linear.work, Work { codes: items.len() as u64, ..Work::default() });
            for engine in choices() {
                let found = index.search(&query, k, &filter, engine).unwrap();
                assert_eq!(bits(&found), bits(&linear), "{engine:?}");
            }
        }
    }
}

#[test]
fn near_queries_touch_little() {
    let (items, ranks) = large_and_even();
    let index = index(&items, &ranks, chosen_kernel());
    for row in (0..items.len()).step_by(9_973) {
        let query = QueryCode::from_item(&items, row).unwrap();
        for engine in [EngineKind::Tree, EngineKind::Head] {
            let work = index.search(&query, 10, &Filter::default(), Some(engine)).unwrap().work;
            assert!(10 * work.codes < items.len() as u64, "{engine:?} {work:?}");
        }
        assert_ne!(index.search(&query, 10, &Filter::default(), None).unwrap().engine, EngineKind::Linear);
    }
}

/// 20,000 items of one layer of 700 bits in clusters, each with scalers of 1 to 1.5.
fn wide() -> (LayeredCodes, Vec<u32>) {
    let shape = Arc::new(CodeShape::hops(700, 0).unwrap());
    let rows = 20_011;
    (evened(&flipped_items(&shape, rows, 130, 100, 9)), permutation(rows, 10))
}

#[test]
fn pieces_find_what_the_scan_finds() {
    let (items, ranks) = wide();
    let index = index(&items, &ranks, chosen_kernel());
    for seed in 0..40 {
        let query = query(&items, 1 + seed as u32 % 6, seed % 2 == 0, seed);
        let seen: Vec<u32> = subset(items.len(), seed as u32 * 6, seed).into_iter().collect();
        let allow = subset(items.len(), 100, seed);
        let filter = Filter { seen: Seen::of(&seen), allow: (seed % 3 == 0).then_some(&allow), ..Filter::default() };
        for k in [1, 20, 3_000, usize::MAX] {
            let linear = index.search(&query, k, &filter, Some(EngineKind::Linear)).unwrap();
            let pieces = index.search(&query, k, &filter, Some(EngineKind::Head)).unwrap();
            assert_eq!(bits(&pieces), bits(&linear), "{seed} {k}");
            assert_eq!((pieces.engine, pieces.exact), (EngineKind::Head, true));
            assert!(pieces.work.codes <= items.len() as u64 && pieces.work.heads <= 3 * (items.len() + 16) as u64);
        }
    }
}

#[test]
fn little_is_read_of_codes_that_cannot_enter() {
    let (items, ranks) = wide();
    let index = index(&items, &ranks, chosen_kernel());
    for row in (0..items.len()).step_by(1_999) {
        let query = QueryCode::from_item(&items, row).unwrap();
        let work = index.search(&query, 10, &Filter::default(), Some(EngineKind::Head)).unwrap().work;
        // A head is a third of a code.
        assert!(20 * work.codes < items.len() as u64 && 4 * work.heads < 3 * items.len() as u64, "{work:?}");
        let planned = index.search(&query, 10, &Filter::default(), None).unwrap().engine;
        // Where a word costs half, both are foretold to take next to the same, as they do: 27 and 25 µs.
        let cheapest = if chosen_kernel() == Kernel::Avx512 { EngineKind::Tree } else { EngineKind::Head };
        assert_eq!(planned, cheapest);
    }
}

#[test]
fn few_admitted_rows_are_scored_alone() {
    let (items, ranks) = large();
    let index = index(&items, &ranks, chosen_kernel());
    let query = random_query(items.shape(), 1, 8);
    let few: RoaringBitmap = (0..items.len() as u32).step_by(3_001).collect();
    let mut rest = RoaringBitmap::new();
    rest.insert_range(0..items.len() as u32);
    rest -= &few;
    let allow = index.search(&query, 5, &Filter { allow: Some(&few), ..Filter::default() }, None).unwrap();
    let deny = index.search(&query, 5, &Filter { deny: vec![&rest], ..Filter::default() }, None).unwrap();
    assert_eq!(allow, deny);
    assert_eq!((allow.engine, allow.matches.len()), (EngineKind::Allowed, 5));
    assert!(allow.work.codes <= 16 * few.len());
}

#[test]
fn plans_do_not_depend_on_threads() {
    let (items, ranks) = large();
    let queries: Vec<QueryCode> = (0..20).map(|i| query(&items, 1 + i % 3, i % 2 == 0, u64::from(i))).collect();
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let index = index(&items, &ranks, chosen_kernel());
            let search = |query| index.search(query, 10, &Filter::default(), None).unwrap();
            queries.iter().map(search).collect::<Vec<Found>>()
        })
    };
    let (one, three) = (run(1), run(3));
    assert_eq!(one, three);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn together_is_one_by_one(
        shape in shapes(),
        rows in 0..3000usize,
        planes in prop::collection::vec(1..=2u32, 0..20),
        k in 0..30usize,
        seen in 0..=256u32,
        seed: u64,
    ) {
        let items = flipped_items(&Arc::new(shape), rows, 40, 4, seed);
        let index = index(&items, &permutation(rows, seed ^ 1), chosen_kernel());
        // Mostly of one plane, so that most share a scan.
        let codes: Vec<QueryCode> = (planes.iter().enumerate())
            .map(|(i, &planes)| query(&items, planes * u32::from(seed % 3 == 0) + 1, i % 2 == 0, seed ^ i as u64))
            .collect();
        let seen: Vec<Vec<u32>> = (0..codes.len() as u64).map(|i| subset(rows, seen, seed ^ i).into_iter().collect()).collect();
        let queries: Vec<(&QueryCode, Filter<'_>)> =
            codes.iter().zip(&seen).map(|(code, seen)| (code, Filter { seen: Seen::of(seen), ..Filter::default() })).collect();
        let together = index.search_together(&queries, k, Effort::Exact).unwrap();
        let alone: Vec<Found> =
            queries.iter().map(|(code, filter)| index.search(code, k, filter, None).unwrap()).collect();
        prop_assert_eq!(together, alone);
    }
}

#[test]
fn searches_by_a_budget_together_are_one_by_one() {
    let (items, ranks) = wide();
    let mut index = index(&items, &ranks, chosen_kernel());
    let codes: Vec<QueryCode> = (0..40).map(|i| query(&items, 2, i % 4 != 0, i)).collect();
    let samples: Vec<(QueryCode, Filter<'_>)> = codes.iter().map(|code| (code.clone(), Filter::default())).collect();
    let calibration = index.measure(&samples).unwrap().unwrap();
    index.set_calibration(calibration, &codes).unwrap();
    let seen: Vec<Vec<u32>> = (0..19).map(|i| subset(items.len(), 7 * i as u32, i).into_iter().collect()).collect();
    let denied = subset(items.len(), 60, 3);
    let mut shared = 0;
    for (efforts, other) in
        [(Effort::Recall(0.9), 1), (Effort::Recall(0.9), 2), (Effort::Budget(700), 1), (Effort::Budget(1), 1)]
    {
        // Of one number of planes all of them, or all but one.
        let codes: Vec<QueryCode> = (0..19).map(|i| query(&items, if i == 4 { other } else { 1 }, i != 7, i)).collect();
        let queries: Vec<(&QueryCode, Filter<'_>)> = (codes.iter().zip(&seen).enumerate())
            .map(|(i, (code, seen))| {
                let deny = if i % 5 == 0 { vec![&denied] } else { Vec::new() };
                (code, Filter { seen: Seen::of(seen), deny, ..Filter::default() })
            })
            .collect();
        for k in [1, 20, 300] {
            let together = index.search_together(&queries, k, efforts).unwrap();
            let alone: Vec<Found> = queries
                .iter()
                .map(|(code, filter)| index.search_with(code, k, filter, None, efforts).unwrap())
                .collect();
            assert_eq!(together, alone, "{efforts:?} {k}");
            shared += together.iter().filter(|found| !found.exact && found.engine == EngineKind::Tree).count();
        }
    }
    assert!(shared > 100, "{shared} searches by a budget");
}

#[test]
fn orders_that_do_not_fit_are_refused() {
    let shape = Arc::new(CodeShape::hops(64, 1).unwrap());
    let items = random_items(&shape, 1000, 1000, 1);
    let order = Order::of(&items);
    let build = |order: Order| Index::with_order(&items, order, permutation(1000, 1), Kernel::Scalar).map(drop);
    assert_eq!(build(order.clone()), Ok(()));
    let with = |rows: Vec<u32>, bands: &[u32]| build(Order { rows, bands: bands.to_vec() });
    assert!(with(order.rows.clone(), &[]).is_err());
    assert!(with(order.rows.clone(), &[512, 512, 1000]).is_err());
    assert!(with(order.rows.clone(), &[512, 1001]).is_err());
    assert!(with(vec![1; 1000], &[1000]).is_err());
    assert!(with((1..1001).collect(), &[1000]).is_err());
    assert_eq!(with((0..1000).collect(), &[1000]), Ok(()));
}
