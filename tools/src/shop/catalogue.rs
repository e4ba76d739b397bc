//! What the shop sells: aisles of things, each in several styles.

use super::draw::{Draw, Weighted};

/// The aisles and their things.
const AISLES: [(&str, [&str; 8]); 24] = [
    (
        "coffee",
        [
            "burr-grinder",
            "gooseneck-kettle",
            "moka-pot",
            "french-press",
            "dripper",
            "espresso-cups",
            "milk-frother",
            "filter-papers",
        ],
    ),
    ("tea", ["teapot", "infuser", "matcha-whisk", "tea-caddy", "gaiwan", "tea-tray", "sencha", "oolong"]),
    (
        "baking",
        [
            "bread-tin",
            "proofing-basket",
            "rolling-pin",
            "dough-scraper",
            "cake-stand",
            "piping-bags",
            "oven-thermometer",
            "loaf-knife",
        ],
    ),
    (
        "knives",
        ["chef-knife", "paring-knife", "cleaver", "whetstone", "knife-block", "santoku", "boning-knife", "honing-rod"],
    ),
    ("cookware", ["skillet", "stockpot", "wok", "saucepan", "dutch-oven", "griddle", "steamer", "roasting-tray"]),
    (
        "spices",
        ["smoked-paprika", "saffron", "za-atar", "curry-leaves", "cardamom", "pepper-mill", "mortar", "spice-rack"],
    ),
    ("garden", ["trowel", "secateurs", "watering-can", "seed-tray", "rake", "kneeler", "gloves", "cloche"]),
    (
        "houseplants",
        ["monstera", "snake-plant", "hanging-pot", "mister", "plant-stand", "grow-light", "potting-mix", "fern"],
    ),
    (
        "woodwork",
        [
            "block-plane",
            "chisel-set",
            "dovetail-saw",
            "mallet",
            "marking-gauge",
            "clamps",
            "spokeshave",
            "workbench-vice",
        ],
    ),
    (
        "cycling",
        ["saddle", "pannier", "track-pump", "bike-light", "multi-tool", "bottle-cage", "bar-tape", "chain-oil"],
    ),
    ("camping", ["tent", "sleeping-mat", "stove", "headlamp", "dry-bag", "camp-chair", "hammock", "water-filter"]),
    (
        "running",
        [
            "trail-shoes",
            "running-belt",
            "cap",
            "foam-roller",
            "soft-flask",
            "compression-socks",
            "reflective-vest",
            "sports-watch",
        ],
    ),
    ("yoga", ["mat", "cork-block", "strap", "bolster", "meditation-cushion", "eye-pillow", "towel", "balance-board"]),
    (
        "drawing",
        [
            "sketchbook",
            "graphite-set",
            "charcoal",
            "kneaded-eraser",
            "fineliners",
            "drawing-board",
            "blending-stumps",
            "ink",
        ],
    ),
    (
        "painting",
        ["watercolours", "gouache", "sable-brushes", "easel", "canvas-roll", "palette-knife", "varnish", "mixing-tray"],
    ),
    (
        "knitting",
        [
            "merino-yarn",
            "circular-needles",
            "stitch-markers",
            "yarn-bowl",
            "cable-needle",
            "sock-blanks",
            "row-counter",
            "blocking-pins",
        ],
    ),
    (
        "sewing",
        [
            "fabric-shears",
            "pincushion",
            "seam-ripper",
            "bobbin-box",
            "linen-bolt",
            "tailor-chalk",
            "thimble",
            "pattern-paper",
        ],
    ),
    (
        "stationery",
        [
            "fountain-pen",
            "notebook",
            "wax-seal",
            "letter-opener",
            "desk-pad",
            "ink-bottle",
            "washi-tape",
            "pencil-case",
        ],
    ),
    (
        "vinyl",
        [
            "turntable",
            "stylus",
            "record-crate",
            "anti-static-brush",
            "slipmat",
            "phono-preamp",
            "inner-sleeves",
            "speaker-stands",
        ],
    ),
    (
        "photography",
        [
            "tripod",
            "film-roll",
            "lens-cloth",
            "camera-strap",
            "light-meter",
            "darkroom-tray",
            "filter-kit",
            "photo-album",
        ],
    ),
    (
        "board-games",
        ["chess-set", "go-board", "card-sleeves", "dice-tower", "score-pad", "playmat", "storage-box", "trivia-deck"],
    ),
    ("dogs", ["leash", "chew-toy", "dog-bed", "harness", "treat-pouch", "slow-feeder", "grooming-brush", "raincoat"]),
    (
        "cats",
        [
            "scratching-post",
            "feather-wand",
            "cat-tree",
            "litter-scoop",
            "window-perch",
            "tunnel",
            "catnip",
            "water-fountain",
        ],
    ),
    (
        "bath",
        ["soap-dish", "bath-brush", "shower-caddy", "linen-towel", "bath-salts", "shaving-kit", "hand-balm", "robe"],
    ),
];

const STYLES: [&str; 8] = ["budget", "classic", "compact", "deluxe", "handmade", "recycled", "travel", "vintage"];

/// A thing on a shelf.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// What it is called, such as `coffee/compact-moka-pot`: its id.
    pub name: String,
    /// Which aisle it is in, by position.
    pub aisle: usize,
    /// Which style it is of, by position.
    pub style: usize,
    /// How well it sells: Zipf's law over the ranks of all items.
    pub popularity: f64,
}

/// Everything on sale.
#[derive(Clone, Debug, PartialEq)]
pub struct Catalogue {
    /// The items; those of one aisle stand together.
    pub items: Vec<Item>,
}

impl Catalogue {
    /// Stocks the shelves. Which items sell well is drawn.
    pub(super) fn new(draw: &mut Draw) -> Self {
        let mut items = Vec::new();
        for (aisle, (shelf, things)) in AISLES.iter().enumerate() {
            for thing in things {
                for (style, styled) in STYLES.iter().enumerate() {
                    items.push(Item { name: format!("{shelf}/{styled}-{thing}"), aisle, style, popularity: 0.0 });
                }
            }
        }
        let mut order: Vec<usize> = (0..items.len()).collect();
        draw.shuffle(&mut order);
        // The shift keeps the very first from selling more than one customer in three can want.
        for (rank, item) in order.into_iter().enumerate() {
            if let Some(item) = items.get_mut(item) {
                item.popularity = 1.0 / (rank + 12) as f64;
            }
        }
        Self { items }
    }

    /// How many aisles there are.
    pub fn aisles(&self) -> usize {
        AISLES.len()
    }

    /// How many styles there are.
    pub(super) fn styles(&self) -> usize {
        STYLES.len()
    }

    /// What an aisle is called.
    pub fn aisle_name(&self, aisle: usize) -> &'static str {
        AISLES.get(aisle).map_or("", |(name, _)| name)
    }

    /// How much customers who know nothing of each other want each aisle: what its items sell, together.
    pub(super) fn aisle_popularity(&self) -> Weighted {
        let mut sums = vec![0.0; self.aisles()];
        for item in &self.items {
            if let Some(sum) = sums.get_mut(item.aisle) {
                *sum += item.popularity;
            }
        }
        Weighted::new(sums)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn every_name_is_of_one_item() {
        let catalogue = Catalogue::new(&mut Draw::new(1));
        let names: HashSet<&str> = catalogue.items.iter().map(|item| item.name.as_str()).collect();
        assert_eq!(names.len(), 24 * 8 * 8);
        // Ids are listed with commas on the command line.
        assert!(names.iter().all(|name| !name.contains([',', ' '])));
    }
}
