"""What users of `implicit` know of its models, asked of a database: a matrix whose right answer is known, and the properties every answer has."""

import numpy as np
import pytest
from conftest import ITEMS, USERS, held_out, taste_pairs

import kithdb


def test_the_item_held_out_is_recommended_first(tastes):
    for user, (item,) in held_out().items():
        (best, score), = tastes.recommend(user, k=1)
        assert best == item and score > 0


def test_what_is_seen_is_left_out_unless_asked_for(tastes):
    seen = {user: {item for other, item in taste_pairs() if other == user} for user in range(USERS)}
    for user in range(USERS):
        assert not seen[user] & {item for item, _ in tastes.recommend(user, k=ITEMS)}
        with_seen = {item for item, _ in tastes.recommend(user, k=ITEMS, include_seen=True)}
        assert with_seen == set(range(ITEMS))


def test_a_batch_gives_what_each_would_get_alone(tastes, named):
    for db in (tastes, named):
        for k in (1, 5, ITEMS):
            users = db.users()
            ids, scores = db.recommend(users=users, k=k)
            assert ids.shape == scores.shape == (len(users), k)
            for user, ids_row, scores_row in zip(users.tolist(), ids, scores):
                alone = db.recommend(user, k=k)
                assert [item for item, _ in alone] == ids_row[: len(alone)].tolist()
                assert [score for _, score in alone] == scores_row[: len(alone)].tolist()
                assert np.isnan(scores_row[len(alone) :]).all()
                assert all(item in (-1, None) for item in ids_row[len(alone) :].tolist())


def test_scores_descend_and_ties_go_by_id(tastes):
    for user in range(USERS):
        hits = tastes.recommend(user, k=ITEMS, include_seen=True)
        assert hits == sorted(hits, key=lambda hit: (-hit[1], hit[0]))


def test_similar_items_are_of_one_taste_and_not_the_item_itself(tastes):
    for item in range(ITEMS):
        similar = [other for other, _ in tastes.similar_items(item, k=5)]
        assert len(similar) == 5 and item not in similar
        assert all(other % 2 == item % 2 for other in similar)


def test_similar_users_are_of_one_taste_and_not_the_user(tastes):
    for user in range(USERS):
        similar = [other for other, _ in tastes.similar_users(user, k=5)]
        assert len(similar) == 5 and user not in similar
        assert all(other % 2 == user % 2 for other in similar)


def test_filters_work_before_the_best_are_taken(named):
    odd = [f"i{item:02}" for item in range(1, ITEMS, 2)]
    only = named.item_set(odd)
    assert {item for item, _ in named.recommend("u00", k=ITEMS, allow=odd)} == set(odd)
    assert named.recommend("u00", k=3, allow=only) == named.recommend("u00", k=3, allow=odd)
    best = named.recommend("u01", k=1)[0][0]
    assert best not in {item for item, _ in named.recommend("u01", k=ITEMS, deny=[best])}
    ids, _ = named.recommend(users=["u00", "u01"], k=2, allow=only)
    assert set(ids.ravel().tolist()) <= {*odd, None}


def test_somebody_new_is_served_at_once(tmp_path):
    with kithdb.open(tmp_path / "db", background=False) as db:
        db.insert_many(taste_pairs())
        db.train("fast", bits=256).wait()
        with pytest.raises(kithdb.UnknownIdError, match="unknown user 1000"):
            db.recommend(1000)
        db.insert(1000, 3)
        hits = db.recommend(1000, k=5)
        assert all(item % 2 == 1 and item != 3 for item, _ in hits)
        ids, _ = db.recommend(users=[1000], k=5)
        assert ids.tolist() == [[item for item, _ in hits]]
        basket = db.recommend(items=[3], k=5)
        assert all(item % 2 == 1 and item != 3 for item, _ in basket)


def test_an_explanation_adds_up(named):
    why = named.explain("u00", "i00")
    assert why["item"] == "i00" and why["user"] == "u00"
    assert sum(np.float32(part) for part in why["layers"]) == why["score"]
    assert dict(named.recommend("u00", k=1))["i00"] == why["score"]
    assert {item for item, _ in why["pulls"]} == {f"i{item:02}" for item in range(2, ITEMS, 2)}
    assert sum(pull for _, pull in why["pulls"]) == pytest.approx(why["folded_score"], rel=1e-4)
    assert why["kept"] is None


def test_the_edges_that_masks_left_are_told(tmp_path):
    with kithdb.open(tmp_path / "masked.kith") as db:
        db.insert_many([(user, item) for user in range(20) for item in range(12) if (user + item) % 2 == 0])
        db.train("fast", bits=64, model="sgcn", settings={"teacher.epochs": 2}).wait()
        assert db.explain(0, 1)["kept"] == [0, 2, 4, 6, 8, 10]


def test_what_was_held_out_comes_back(tastes, named):
    assert tastes.evaluate(held_out(), k=[1, 5])["recall@1"] == 1.0
    names = {f"u{user:02}": [f"i{item:02}" for item in items] for user, items in held_out().items()}
    measured = named.evaluate(names)
    assert measured["users"] == USERS and measured["recall@20"] == 1.0


def test_a_popular_list_is_for_whoever_is_unknown(tastes):
    with pytest.raises(kithdb.UnknownIdError):
        tastes.recommend(users=[0, 999])
    ids, scores = tastes.recommend(users=[0, 999], k=3, errors="ignore")
    assert ids[1].tolist() == [-1] * 3 and np.isnan(scores[1]).all() and (ids[0] >= 0).all()
    ids, scores = tastes.recommend(users=[0, 999], k=3, or_popular=True)
    assert (ids >= 0).all() and scores[1].tolist() == [18.0] * 3
