//! The names that people give the columns of interactions.

use std::collections::HashSet;
use std::sync::LazyLock;

/// What a column can hold, and how it is called.
#[derive(Debug)]
pub(crate) struct Role {
    pub(crate) role: &'static str,
    /// The option that names the column.
    pub(crate) option: &'static str,
    /// Names in order of preference: one of them goes before those that follow.
    usual: &'static [&'static str],
    /// Names none of which goes before another: where a file has several of them, only who made it knows.
    specific: &'static [&'static str],
    /// Names in order of preference where there is none of the others.
    last: &'static [&'static str],
    /// Ends that a name may have, the empty one aside, in order of preference.
    ends: &'static [&'static str],
}

const ID_ENDS: &[&str] = &["id", "uuid", "guid", "key", "code", "hash", "index", "idx", "number", "no", "num", "name"];

pub(crate) static USER: Role = Role {
    role: "user",
    option: "--user",
    usual: &["user", "uid"],
    specific: &[
        "customer",
        "cust",
        "client",
        "visitor",
        "member",
        "reviewer",
        "account",
        "buyer",
        "shopper",
        "purchaser",
        "person",
        "profile",
        "subscriber",
        "listener",
        "reader",
        "viewer",
        "player",
        "gamer",
        "consumer",
        "learner",
        "student",
        "guest",
        "household",
        "author",
        "msno",
        "rater",
        "traveler",
        "voter",
    ],
    last: &["session", "visit", "cookie", "device", "anonymous", "playlist", "basket", "cart"],
    ends: ID_ENDS,
};

pub(crate) static ITEM: Role = Role {
    role: "item",
    option: "--item",
    usual: &["item", "iid", "asin"],
    specific: &[
        "product",
        "prod",
        "movie",
        "film",
        "track",
        "song",
        "artist",
        "album",
        "article",
        "video",
        "book",
        "isbn",
        "parentasin",
        "sku",
        "upc",
        "ean",
        "gtin",
        "stock",
        "news",
        "show",
        "series",
        "anime",
        "manga",
        "game",
        "app",
        "business",
        "venue",
        "poi",
        "location",
        "place",
        "restaurant",
        "hotel",
        "listing",
        "property",
        "recipe",
        "course",
        "job",
        "post",
        "tweet",
        "photo",
        "image",
        "pin",
        "content",
        "document",
        "doc",
        "page",
        "url",
        "offer",
        "ad",
        "station",
        "podcast",
        "episode",
        "channel",
        "stream",
        "streamer",
        "subreddit",
        "paper",
        "repo",
        "joke",
        "beer",
        "wine",
        "dish",
        "goods",
        "merchandise",
        "clip",
        "trackuri",
    ],
    last: &["category", "brand"],
    ends: ID_ENDS,
};

pub(super) static TIME: Role = Role {
    role: "time",
    option: "--time",
    usual: &[
        "time",
        "timestamp",
        "ts",
        "unixreviewtime",
        "unixtime",
        "epoch",
        "datetime",
        "eventtime",
        "eventtimestamp",
        "createdat",
        "created",
        "occurredat",
        "at",
        "reviewtime",
        "timestampms",
        "date",
        "eventdate",
        "day",
        "tdat",
        "invoicedate",
        "orderdate",
        "purchasedate",
    ],
    specific: &[],
    last: &[],
    ends: &[],
};

pub(super) static WEIGHT: Role = Role {
    role: "weight",
    option: "--weight",
    usual: &["weight", "count", "counts", "playcount", "plays", "listencount", "frequency"],
    specific: &[],
    last: &[],
    ends: &[],
};

/// A rating is no weight unless asked for: one star says less than no star, not a fifth of five.
pub(super) static RATING: Role = Role {
    role: "rating",
    option: "--rating",
    usual: &[
        "rating",
        "ratings",
        "stars",
        "star",
        "starrating",
        "bookrating",
        "userrating",
        "movierating",
        "reviewrating",
        "overall",
        "score",
        "reviewscore",
        "userscore",
        "grade",
        "rate",
        "rated",
        "feedback",
        "label",
        "liked",
        "like",
        "clicked",
        "click",
        "purchased",
        "converted",
    ],
    specific: &[],
    last: &[],
    ends: &[],
};

/// What happened: some of it may be no wish.
pub(super) static EVENT: Role = Role {
    role: "event",
    option: "",
    usual: &["event", "action", "behavior", "behaviour", "interaction", "activity", "transaction", "verb"],
    specific: &[],
    last: &[],
    ends: &["type", "name", "kind"],
};

impl Role {
    /// The column among these names; `None` where there is none, the error where it could be any of several.
    pub(super) fn find(&self, names: &[String]) -> Result<Option<usize>, Vec<String>> {
        let names_plain: Vec<String> = names.iter().map(|name| plain(name)).collect();
        // All columns of a name, by the first of its ends that the file has.
        let of = |noun: &str| {
            let with = |end: &str| {
                let at = |name: &String| name.strip_prefix(noun).is_some_and(|rest| rest == end);
                names_plain.iter().enumerate().filter(|(_, name)| at(name)).map(|(at, _)| at).collect::<Vec<_>>()
            };
            // What is called an id is one; the same name without an end may hold what people call it.
            let ends = self.ends.iter().copied();
            let (id, others) = (ends.clone().filter(|&end| end == "id"), ends.filter(|&end| end != "id"));
            id.chain([""]).chain(others).map(with).find(|found| !found.is_empty())
        };
        let usual = self.usual.iter().find_map(|noun| of(noun));
        let found = usual.unwrap_or_else(|| {
            let mut all: Vec<usize> = self.specific.iter().filter_map(|noun| of(noun)).flatten().collect();
            all.sort_unstable();
            all.dedup();
            match all.is_empty() {
                true => self.last.iter().find_map(|noun| of(noun)).unwrap_or_default(),
                false => all,
            }
        });
        match found[..] {
            [] => Ok(None),
            [at] => Ok(Some(at)),
            _ => Err(found.into_iter().filter_map(|at| names.get(at).cloned()).collect()),
        }
    }

    /// Whether it is what a column of this name holds.
    pub(super) fn is(&self, name: &str) -> bool {
        self.find(&[name.to_owned()]).is_ok_and(|found| found.is_some())
    }

    /// A few of the names.
    pub(super) fn examples(&self) -> String {
        let few = self.usual.iter().filter(|name| name.len() > 1).chain(self.specific).take(4);
        few.copied().collect::<Vec<_>>().join(", ")
    }
}

/// Whether a column can be called that, whatever it holds. Quick of what has digits, as most ids have.
pub(super) fn is_one(name: &str) -> bool {
    static ALL: LazyLock<HashSet<String>> = LazyLock::new(|| {
        let roles = [&USER, &ITEM, &TIME, &WEIGHT, &RATING, &EVENT];
        let nouns = |role: &Role| [role.usual, role.specific, role.last].concat();
        let ended = |noun: &str, ends: &[&str]| ends.iter().map(|end| format!("{noun}{end}")).collect::<Vec<_>>();
        let named = |role: &Role| {
            let all = nouns(role).into_iter();
            all.flat_map(|noun| ended(noun, role.ends).into_iter().chain([noun.to_owned()])).collect::<Vec<_>>()
        };
        roles.into_iter().flat_map(named).collect()
    });
    const LONGEST: usize = 32;
    name.len() <= LONGEST && !name.bytes().any(|byte| byte.is_ascii_digit()) && ALL.contains(&plain(name))
}

/// Whether a column of ids can be called that, and hardly anything else: `user`, `asin`, or a noun with `id` behind it.
pub(super) fn is_one_for_sure(name: &str) -> bool {
    let name = plain(name);
    let of_role = |role: &Role| {
        let noun = name.strip_suffix("id").unwrap_or_default();
        role.usual.contains(&name.as_str()) || [role.usual, role.specific, role.last].concat().contains(&noun)
    };
    [&USER, &ITEM].into_iter().any(of_role)
}

/// Whether a column that was found for ids holds what people call things, where another is called `id`; `None` where either may have the ids.
pub(super) fn is_beside_id(name: &str) -> Option<bool> {
    const IDENTIFIERS: [&str; 8] = ["isbn", "sku", "upc", "ean", "gtin", "parentasin", "trackuri", "url"];
    let name = plain(name);
    let is_usual = || [&USER, &ITEM].iter().any(|role| role.usual.contains(&name.as_str()));
    if name.ends_with("id") || is_usual() {
        return Some(false);
    }
    (!IDENTIFIERS.contains(&name.as_str())).then_some(true)
}

/// A name as it is compared: in lower case, without `_`, `-`, `.`, blanks, and a type after `:`.
fn plain(name: &str) -> String {
    let name = name.split(':').next().unwrap_or(name);
    name.chars().filter(|c| !matches!(c, '_' | '-' | '.') && !c.is_whitespace()).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(header: &str) -> [Option<usize>; 4] {
        let names: Vec<String> = header.split(',').map(str::to_owned).collect();
        [&USER, &ITEM, &TIME, &RATING].map(|role| role.find(&names).unwrap())
    }

    /// Headers of public data sets, and what they hold.
    #[test]
    fn headers_that_people_use() {
        for (header, expected) in [
            ("userId,movieId,rating,timestamp", [Some(0), Some(1), Some(3), Some(2)]),
            ("user_id:token,item_id:token,rating:float,timestamp:float", [Some(0), Some(1), Some(3), Some(2)]),
            ("User-ID,ISBN,Book-Rating", [Some(0), Some(1), None, Some(2)]),
            ("t_dat,customer_id,article_id,price,sales_channel_id", [Some(1), Some(2), Some(0), None]),
            ("reviewerID,asin,reviewerName,overall,unixReviewTime", [Some(0), Some(1), Some(4), Some(3)]),
            ("rating,title,asin,parent_asin,user_id,timestamp", [Some(4), Some(2), Some(5), Some(0)]),
            ("userID,artistID,weight", [Some(0), Some(1), None, None]),
            ("session_id,timestamp,item_id,category", [Some(0), Some(2), Some(1), None]),
            ("timestamp,visitorid,event,itemid,transactionid", [Some(1), Some(3), Some(0), None]),
            ("user_id,video_id,watch_ratio", [Some(0), Some(1), None, None]),
            ("user_id,anime_id,rating", [Some(0), Some(1), None, Some(2)]),
            ("review_id,user_id,business_id,stars,date", [Some(1), Some(2), Some(4), Some(3)]),
            ("InvoiceNo,StockCode,Quantity,InvoiceDate,CustomerID", [Some(4), Some(1), Some(3), None]),
            ("USER NAME,Product ID", [Some(0), Some(1), None, None]),
            ("timestamp,eventType,contentId,personId,sessionId", [Some(3), Some(2), Some(0), None]),
            ("user,user_id,artist,artist_id,plays", [Some(1), Some(3), None, None]),
        ] {
            assert_eq!(found(header), expected, "{header}");
        }
    }

    #[test]
    fn every_name_is_one() {
        for name in [
            "user",
            "User-ID",
            "customer_id",
            "reviewerID",
            "asin",
            "productKey",
            "timestamp",
            "Book-Rating",
            "event_type",
        ] {
            assert!(is_one(name), "{name}");
        }
    }

    #[test]
    fn words_are_not_for_sure() {
        for name in ["user", "UserID", "movie_id", "customer-id", "asin", "uid", "category_id"] {
            assert!(is_one_for_sure(name), "{name}");
        }
        for name in ["guest", "wine", "member", "photo", "customer", "id", "paid", ""] {
            assert!(!is_one_for_sure(name), "{name}");
        }
    }

    #[test]
    fn an_id_goes_before_what_things_are_called() {
        for (name, expected) in [
            ("item_id", Some(false)),
            ("item", Some(false)),
            ("stock", Some(true)),
            ("category", Some(true)),
            ("device", Some(true)),
            ("product_name", Some(true)),
            ("sku", None),
        ] {
            assert_eq!(is_beside_id(name), expected, "{name}");
        }
    }

    #[test]
    fn data_are_no_names() {
        for data in ["1", "196", "u1", "i1", "user1", "2024-01-15", "5.0", ""] {
            assert!(![&USER, &ITEM, &TIME, &WEIGHT, &RATING].iter().any(|role| role.is(data)), "{data}");
            assert!(!is_one(data), "{data}");
        }
    }
}
