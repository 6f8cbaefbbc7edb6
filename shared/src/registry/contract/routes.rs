//! Checks of [`Routes`].

use super::super::{Entered, Fingerprint, MAX_ROUTES_PER_RECIPIENT, Mark, Nodes, Routes};
use super::{leased, recipient, route};
use crate::delivery::NodeId;

/// All checks.
pub async fn all(routes: &dyn Routes, nodes: &dyn Nodes) {
    remove_keeps_a_newer_session(routes, nodes).await;
    entering_twice_changes_nothing(routes, nodes).await;
    lookup_skips_nodes_without_a_lease(routes, nodes).await;
    lookup_sees_a_node_that_has_just_come(routes, nodes).await;
    lookup_answers_in_the_order_asked(routes, nodes).await;
    the_seventeenth_route_replaces_one_without_a_lease(routes, nodes).await;
    the_seventeenth_route_replaces_the_oldest(routes, nodes).await;
    tenants_never_see_each_other(routes, nodes).await;
    an_empty_batch_is_no_mistake(routes).await;
    what_was_entered_is_told_to_who_asks_with_a_mark_from_before(routes, nodes).await;
}

/// Nothing that was answered is left out, and who knows nothing is told to believe nothing.
pub async fn what_was_entered_is_told_to_who_asks_with_a_mark_from_before(
    routes: &dyn Routes,
    nodes: &dyn Nodes,
) {
    let (alice, bob, node) = (recipient("alice"), recipient("bob"), leased(nodes).await);
    let told = |entered: &Entered, recipient| entered.may_be(Fingerprint::of(recipient));
    let (entered, _) = routes.entered(&Mark::default()).await.expect("entered");
    assert_eq!(entered, Entered::Any);
    // Somebody is there, as another check may be the first to enter one.
    routes.register(&[(bob.clone(), route(node))]).await.expect("register");
    let (_, mark) = routes.entered(&Mark::default()).await.expect("entered");
    let (entered, _) = routes.entered(&mark).await.expect("entered");
    assert!(!told(&entered, &alice) && !told(&entered, &bob), "{entered:?}");
    routes.register(&[(alice.clone(), route(node))]).await.expect("register");
    let (entered, next) = routes.entered(&mark).await.expect("entered");
    assert!(told(&entered, &alice) && !told(&entered, &bob), "{entered:?}");
    let (entered, _) = routes.entered(&next).await.expect("entered");
    assert!(!told(&entered, &alice), "{entered:?}");
    let (entered, _) = routes.entered(&mark).await.expect("entered");
    assert!(told(&entered, &alice), "the mark decides, not what was asked before: {entered:?}");
}

/// A late goodbye removes its own session only.
pub async fn remove_keeps_a_newer_session(routes: &dyn Routes, nodes: &dyn Nodes) {
    let (alice, node) = (recipient("alice"), leased(nodes).await);
    let (old, new) = (route(node), route(node));
    routes.register(&[(alice.clone(), old)]).await.expect("register");
    routes.register(&[(alice.clone(), new)]).await.expect("register");
    routes.remove(&[(alice.clone(), old)]).await.expect("remove");
    routes.remove(&[(alice.clone(), old)]).await.expect("remove again");
    assert_eq!(routes.lookup(std::slice::from_ref(&alice)).await.expect("lookup"), [vec![new]]);
    routes.remove(&[(alice.clone(), new)]).await.expect("remove");
    assert_eq!(routes.lookup(&[alice]).await.expect("lookup"), [vec![]]);
}

/// Repeating a registration whose answer was lost is harmless.
pub async fn entering_twice_changes_nothing(routes: &dyn Routes, nodes: &dyn Nodes) {
    let (alice, node) = (recipient("alice"), leased(nodes).await);
    let (first, second) = (route(node), route(node));
    let batch = [(alice.clone(), first), (alice.clone(), second), (alice.clone(), first)];
    routes.register(&batch).await.expect("register");
    routes.register(&batch).await.expect("register again");
    assert_eq!(routes.lookup(&[alice]).await.expect("lookup"), [vec![first, second]]);
}

/// An entry whose node's lease is gone is no route.
pub async fn lookup_skips_nodes_without_a_lease(routes: &dyn Routes, nodes: &dyn Nodes) {
    let (alice, node) = (recipient("alice"), leased(nodes).await);
    let (alive, dead) = (route(node), route(NodeId::random()));
    routes.register(&[(alice.clone(), dead), (alice.clone(), alive)]).await.expect("register");
    assert_eq!(routes.lookup(&[alice]).await.expect("lookup"), [vec![alive]]);
}

/// What is remembered of leases never hides a new node.
pub async fn lookup_sees_a_node_that_has_just_come(routes: &dyn Routes, nodes: &dyn Nodes) {
    for _ in 0..5 {
        let (alice, node) = (recipient("alice"), leased(nodes).await);
        let here = route(node);
        routes.register(&[(alice.clone(), here)]).await.expect("register");
        assert_eq!(routes.lookup(&[alice]).await.expect("lookup"), [vec![here]]);
    }
}

/// Answers stand where their questions stood.
pub async fn lookup_answers_in_the_order_asked(routes: &dyn Routes, nodes: &dyn Nodes) {
    let node = leased(nodes).await;
    let all: Vec<_> = (0..300).map(|n| (recipient(&format!("r{n}")), route(node))).collect();
    routes.register(&all).await.expect("register");
    let mut asked: Vec<_> = all.iter().map(|(recipient, _)| recipient.clone()).collect();
    asked.insert(7, recipient("nobody"));
    let mut expected: Vec<_> = all.iter().map(|(_, route)| vec![*route]).collect();
    expected.insert(7, vec![]);
    assert_eq!(routes.lookup(&asked).await.expect("lookup"), expected);
}

/// The limit is obeyed, and costs the dead first.
pub async fn the_seventeenth_route_replaces_one_without_a_lease(routes: &dyn Routes, nodes: &dyn Nodes) {
    let (alice, node) = (recipient("alice"), leased(nodes).await);
    let mut kept: Vec<_> = (0..MAX_ROUTES_PER_RECIPIENT - 1).map(|_| route(node)).collect();
    let mut batch: Vec<_> = kept.iter().map(|route| (alice.clone(), *route)).collect();
    batch.insert(3, (alice.clone(), route(NodeId::random())));
    routes.register(&batch).await.expect("register");
    kept.push(route(node));
    routes.register(&[(alice.clone(), kept[MAX_ROUTES_PER_RECIPIENT - 1])]).await.expect("register");
    assert_eq!(routes.lookup(&[alice]).await.expect("lookup"), [kept]);
}

/// The limit is obeyed when all live.
pub async fn the_seventeenth_route_replaces_the_oldest(routes: &dyn Routes, nodes: &dyn Nodes) {
    let (alice, node) = (recipient("alice"), leased(nodes).await);
    let all: Vec<_> = (0..=MAX_ROUTES_PER_RECIPIENT).map(|_| route(node)).collect();
    let batch: Vec<_> = all.iter().map(|route| (alice.clone(), *route)).collect();
    routes.register(&batch).await.expect("register");
    assert_eq!(routes.lookup(&[alice]).await.expect("lookup"), [all[1..].to_vec()]);
}

/// The same name in two tenants is two recipients.
pub async fn tenants_never_see_each_other(routes: &dyn Routes, nodes: &dyn Nodes) {
    let (here, there, node) = (recipient("alice"), recipient("alice"), leased(nodes).await);
    let mine = route(node);
    routes.register(&[(here.clone(), mine)]).await.expect("register");
    routes.remove(&[(there.clone(), mine)]).await.expect("remove");
    assert_eq!(routes.lookup(&[there, here]).await.expect("lookup"), [vec![], vec![mine]]);
}

/// Nothing asked, nothing answered.
pub async fn an_empty_batch_is_no_mistake(routes: &dyn Routes) {
    routes.register(&[]).await.expect("register");
    routes.remove(&[]).await.expect("remove");
    assert!(routes.lookup(&[]).await.expect("lookup").is_empty());
}
