/* Sessions that live in the store: what one worker began, another goes on with. Two endpoints share
 * one store. DESIGN.md section 7, invariants 1, 3 and 5. */
#include "worker/dtls.h"

#include "shared/record.h"
#include "tests/worker/endpoint.h"
#include "tests/worker/peer.h"

#include <criterion/criterion.h>
#include <string.h>

static struct endpoint first, second;
static struct peer peer;

static void open_both(const struct peer_options *options)
{
    endpoint_open(&first, &(struct endpoint_options){.worker_id = 1});
    endpoint_open(&second, &(struct endpoint_options){.worker_id = 2, .store = first.store});
    peer_open(&peer, options);
    cr_assert(peer_connect(&peer, &first));
    cr_assert(peer_converses(&peer, &first));
}

static void close_both(void)
{
    peer_close(&peer);
    endpoint_close(&second);
    endpoint_close(&first);
}

static void pass(uint64_t ms)
{
    endpoint_run(&first, ms);
    endpoint_run(&second, ms);
}

Test(dtls_store, a_session_with_cid_is_adopted_by_its_next_record)
{
    open_both(&(struct peer_options){.cid = true});
    pass(MARK_INTERVAL_MS);
    cr_expect(peer_converses(&peer, &second));
    cr_expect_eq(second.adopted, 1);
    cr_expect_eq(endpoint_count(&second, WORKER_SESSIONS_ADOPTED), 1);
    cr_expect_eq(endpoint_count(&second, WORKER_RECORDS_HELD), 1);
    cr_expect_eq(endpoint_count(&second, WORKER_HANDSHAKES_OK), 0);
    cr_expect_eq(endpoint_dropped(&second), 0);
    close_both();
}

Test(dtls_store, a_session_without_cid_is_found_by_its_address)
{
    open_both(&(struct peer_options){.cid = false});
    pass(MARK_INTERVAL_MS);
    cr_expect(peer_converses(&peer, &second));
    cr_expect_eq(second.adopted, 1);
    close_both();
}

Test(dtls_store, the_heir_knows_what_the_session_was)
{
    open_both(&(struct peer_options){.cid = true, .cid_length = 5});
    const struct session *before = first.receiver;
    cr_assert_not_null(before);
    peer.address = endpoint_address(9, 999);
    cr_assert(peer_converses(&peer, &first));
    pass(MARK_INTERVAL_MS);
    cr_assert(peer_converses(&peer, &second));
    const struct session *after = second.receiver;
    cr_assert_not_null(after);
    size_t length_before, length_after;
    const uint8_t *identity_before = session_identity(before, &length_before);
    const uint8_t *identity_after = session_identity(after, &length_after);
    cr_expect_eq(length_before, length_after);
    cr_expect_eq(memcmp(identity_before, identity_after, length_before), 0);
    cr_expect_eq(after->suite, before->suite);
    cr_expect(cid_equal(&after->peer_cid, &before->peer_cid));
    cr_expect(cid_equal(&after->own_cid, &before->own_cid));
    cr_expect_eq(after->address_changes, 1);
    cr_expect(address_equal(&after->previous_address, &before->previous_address));
    close_both();
}

/* Both seal for a while, each from its own block: no number comes twice. */
/* "The same Message ID MUST NOT be reused (in communicating with the same endpoint) within the
 * EXCHANGE_LIFETIME" (RFC 7252 section 4.4): the mark may not know of those used last. */
Test(dtls_store, an_heir_leaves_message_ids_out)
{
    open_both(&(struct peer_options){.cid = true});
    first.receiver->next_message_id = 0xff00;
    cr_assert(peer_converses(&peer, &first));
    pass(MARK_INTERVAL_MS);
    uint16_t marked = first.receiver->next_message_id;
    first.receiver->next_message_id += COAP_MESSAGE_ID_NOTE;
    cr_assert(peer_converses(&peer, &second));
    cr_expect_eq(second.receiver->next_message_id,
                 (uint16_t)(marked + COAP_MESSAGE_ID_LEAP *
                                         (1 + second.receiver->fence % COAP_MESSAGE_ID_HEIRS)));
    close_both();
}

Test(dtls_store, two_owners_never_seal_with_the_same_number)
{
    struct datagrams log = {0};
    static bool used[4 * SEQUENCE_LEASE];
    open_both(&(struct peer_options){.cid = true});
    struct session *old = first.receiver;
    pass(MARK_INTERVAL_MS);
    cr_assert(peer_converses(&peer, &second));
    first.log = &log;
    second.log = &log;
    for (int i = 0; i < 200; i++) {
        dtls_send(first.dtls, old, (const uint8_t *)"zombie", 6);
        dtls_send(second.dtls, second.receiver, (const uint8_t *)"heir", 4);
    }
    size_t records = 0;
    for (size_t i = 0; i < log.count; i++, records++) {
        const struct datagram *datagram = &log.items[i];
        struct cursor cursor = cursor_over(datagram->bytes, datagram->length);
        struct record record;
        cr_assert_eq(record_next(&cursor, RECORD_CID_SELF_DESCRIBED, &record), STATUS_OK);
        cr_assert_lt(record.sequence, 4 * SEQUENCE_LEASE);
        cr_assert_not(used[record.sequence], "number %llu", (unsigned long long)record.sequence);
        used[record.sequence] = true;
    }
    cr_expect_eq(records, 400);
    first.log = second.log = NULL;
    datagrams_clear(&log);
    close_both();
}

Test(dtls_store, who_lost_a_session_learns_it_by_its_next_write)
{
    open_both(&(struct peer_options){.cid = true});
    pass(MARK_INTERVAL_MS);
    cr_assert(peer_converses(&peer, &second));
    cr_expect_eq(endpoint_sessions(&first), 1, "it has not written yet");
    /* A record that went astray makes its mark dirty, or it leases: here, a record. */
    uint8_t record[128];
    size_t length =
        peer_seal(&peer, RECORD_TYPE_APPLICATION_DATA, "astray", 6, record, sizeof(record));
    endpoint_receive(&first, &peer.address, record, length);
    endpoint_run(&first, MARK_INTERVAL_MS);
    cr_expect_eq(endpoint_sessions(&first), 0);
    cr_expect_eq(endpoint_count(&first, WORKER_SESSIONS_LOST), 1);
    cr_expect_eq(endpoint_stored(&first), 1, "and the session lives on");
    cr_expect(peer_converses(&peer, &second));
    close_both();
}

/* The first worker still has a copy, from before: no record is lost by that. */
Test(dtls_store, a_session_that_comes_back_is_claimed_first)
{
    open_both(&(struct peer_options){.cid = true});
    pass(MARK_INTERVAL_MS);
    cr_assert(peer_converses(&peer, &second));
    pass(1000);
    cr_expect_eq(endpoint_sessions(&first), 1);
    cr_expect(peer_converses(&peer, &first));
    cr_expect_eq(first.adopted, 1);
    cr_expect_eq(endpoint_count(&first, WORKER_SESSIONS_EVICTED), 1);
    cr_expect_eq(endpoint_count(&first, WORKER_SESSIONS_LOST), 0);
    cr_expect_eq(endpoint_dropped(&first), 0);
    pass(1000);
    cr_expect(peer_converses(&peer, &first), "and no further question");
    cr_expect_eq(first.adopted, 1);
    close_both();
}

Test(dtls_store, a_gap_asks_nobody_while_the_store_is_away_or_the_session_is_not_the_one)
{
    open_both(&(struct peer_options){.cid = true});
    uint8_t record[128];
    (void)peer_seal(&peer, RECORD_TYPE_APPLICATION_DATA, "lost", 4, record, sizeof(record));
    pass(1000);
    size_t length =
        peer_seal(&peer, RECORD_TYPE_APPLICATION_DATA, "forged", 6, record, sizeof(record));
    record[length - 1] ^= 1;
    endpoint_receive(&first, &peer.address, record, length);
    pass(1);
    cr_expect_eq(endpoint_count(&first, WORKER_DROPPED_BAD_TAG), 1);
    endpoint_break_store(&first, &(struct endpoint_breakage){.trouble = "away", .claims = true});
    cr_expect(peer_converses(&peer, &first));
    cr_expect_eq(endpoint_count(&first, WORKER_SESSIONS_EVICTED), 0);
    cr_expect_eq(first.adopted, 0);
    close_both();
}

Test(dtls_store, the_replay_window_goes_with_the_session)
{
    open_both(&(struct peer_options){.cid = true});
    uint8_t record[128], copy[128];
    size_t length =
        peer_seal(&peer, RECORD_TYPE_APPLICATION_DATA, "once", 4, record, sizeof(record));
    memcpy(copy, record, length);
    endpoint_receive(&first, &peer.address, record, length);
    pass(MARK_INTERVAL_MS);
    size_t heard = second.received.count;
    endpoint_receive(&second, &peer.address, copy, length);
    endpoint_run(&second, 0);
    cr_expect_eq(second.received.count, heard, "not a second time");
    cr_expect_eq(endpoint_count(&second, WORKER_DROPPED_REPLAYED), 1);
    close_both();
}

Test(dtls_store, marks_are_saved_together_and_only_when_something_moved)
{
    open_both(&(struct peer_options){.cid = true});
    pass(MARK_INTERVAL_MS);
    size_t marks = endpoint_marks(&first);
    for (int i = 0; i < 100; i++)
        cr_assert(peer_converses(&peer, &first));
    pass(MARK_INTERVAL_MS);
    cr_expect_leq(endpoint_marks(&first), marks + 1, "one mark for a hundred records");
    marks = endpoint_marks(&first);
    pass(10 * MARK_INTERVAL_MS);
    cr_expect_eq(endpoint_marks(&first), marks);
    close_both();
}

Test(dtls_store, a_mark_that_could_not_be_saved_is_saved_later)
{
    open_both(&(struct peer_options){.cid = true});
    pass(MARK_INTERVAL_MS);
    endpoint_break_store(&first, &(struct endpoint_breakage){.marks = true});
    cr_assert(peer_converses(&peer, &first));
    pass(MARK_INTERVAL_MS);
    pass(MARK_INTERVAL_MS);
    size_t marks = endpoint_marks(&first);
    cr_expect_not(dtls_is_saved(first.dtls));
    endpoint_break_store(&first, &(struct endpoint_breakage){0});
    pass(MARK_INTERVAL_MS);
    cr_expect_eq(endpoint_marks(&first), marks + 1);
    cr_expect(dtls_is_saved(first.dtls));
    close_both();
}

Test(dtls_store, records_wait_for_a_claim_within_bounds)
{
    open_both(&(struct peer_options){.cid = true});
    pass(MARK_INTERVAL_MS);
    endpoint_break_store(&second, &(struct endpoint_breakage){.silent = true});
    for (int i = 0; i < ADOPTION_HELD_MAX + 3; i++) {
        uint8_t record[128];
        size_t length =
            peer_seal(&peer, RECORD_TYPE_APPLICATION_DATA, "wait", 4, record, sizeof(record));
        endpoint_receive(&second, &peer.address, record, length);
        endpoint_run(&second, 0);
    }
    cr_expect_eq(second.received.count, 0);
    cr_expect_eq(endpoint_count(&second, WORKER_DROPPED_CLAIMS_FULL), 3);
    endpoint_break_store(&second, &(struct endpoint_breakage){0});
    endpoint_run(&second, 0);
    cr_expect_eq(second.received.count, ADOPTION_HELD_MAX);
    cr_expect_eq(second.adopted, 1, "claimed once");
    close_both();
}

Test(dtls_store, without_the_store_a_record_of_an_unknown_session_is_dropped)
{
    open_both(&(struct peer_options){.cid = true});
    pass(MARK_INTERVAL_MS);
    endpoint_break_store(&second, &(struct endpoint_breakage){.claims = true});
    cr_expect_not(peer_converses(&peer, &second));
    cr_expect_eq(endpoint_count(&second, WORKER_DROPPED_STORE), 1);
    endpoint_break_store(&second, &(struct endpoint_breakage){0});
    cr_expect(peer_converses(&peer, &second), "goes on by itself");
    close_both();
}

/* As if the store's nonces had begun at 0 and nobody had taken many; the memory store begins far
 * above. */
static void know_of_few_nonces(struct endpoint *endpoint)
{
    struct cid_source *cids = &endpoint->dtls->cids;
    cids->next = cids->spare_first = cids->spare_left = cids->seen = 0;
    cids->left = NONCE_LEASE;
}

/* 100 forged CIDs; how many of them were claimed. */
static uint64_t claimed_of_forged(struct endpoint *endpoint)
{
    uint8_t record[64] = {25, 0xfe, 0xfd, 0, 1, 0, 0, 0, 0, 0, 9, 0x27, 1, 2, 3, 4, 5, 6, 7, 0, 32};
    uint64_t before = endpoint_count(endpoint, WORKER_RECORDS_HELD);
    record[11] = (uint8_t)(1 << 5 | (CID_LENGTH_DEFAULT - 1));
    for (uint8_t i = 0; i < 100; i++) {
        record[14] = i;
        endpoint_receive(endpoint, &peer.address, record, 21 + 32);
    }
    endpoint_run(endpoint, 0);
    return endpoint_count(endpoint, WORKER_RECORDS_HELD) - before;
}

Test(dtls_store, cids_that_nobody_can_have_made_ask_little)
{
    open_both(&(struct peer_options){.cid = true});
    know_of_few_nonces(&second);
    /* Nonces of 5 octets, of which a few million have been leased: 1 in 10^5 is credible. */
    uint64_t asked = claimed_of_forged(&second);
    cr_expect_geq(asked, DOUBTFUL_CLAIMS_PER_S);
    cr_expect_leq(asked, DOUBTFUL_CLAIMS_PER_S + 2);
    cr_expect_leq(claimed_of_forged(&second), 2, "in the same second");
    cr_expect_eq(endpoint_count(&second, WORKER_DROPPED_NO_SESSION), 200);
    endpoint_run(&second, 1000);
    cr_expect_geq(claimed_of_forged(&second), DOUBTFUL_CLAIMS_PER_S, "in the next");
    close_both();
}

/* This worker has made few CIDs, and others many. */
Test(dtls_store, a_session_with_a_nonce_far_ahead_is_adopted_and_makes_others_credible)
{
    struct peer neighbour;
    open_both(&(struct peer_options){.cid = true});
    peer_open(&neighbour, &(struct peer_options){.cid = true,
                                                 .identity = ENDPOINT_IDENTITY2,
                                                 .address = endpoint_address(7, 777)});
    cr_assert(peer_connect(&neighbour, &first));
    cr_assert(peer_converses(&neighbour, &first));
    pass(MARK_INTERVAL_MS);
    know_of_few_nonces(&second);
    cr_expect(peer_converses(&peer, &second));
    (void)claimed_of_forged(&second); /* uses up what is spent on doubtful ones */
    cr_expect(peer_converses(&neighbour, &second));
    cr_expect_eq(second.adopted, 2);
    peer_close(&neighbour);
    close_both();
}

Test(dtls_store, a_session_that_was_closed_is_nowhere)
{
    open_both(&(struct peer_options){.cid = true});
    static const uint8_t close_notify[] = {1, 0};
    uint8_t record[128];
    size_t length = peer_seal(&peer, RECORD_TYPE_ALERT, close_notify, sizeof(close_notify), record,
                              sizeof(record));
    endpoint_receive(&first, &peer.address, record, length);
    pass(0);
    cr_expect_eq(endpoint_stored(&first), 0);
    cr_expect_not(peer_converses(&peer, &second));
    cr_expect_eq(endpoint_count(&second, WORKER_DROPPED_NO_SESSION), 1);
    close_both();
}

/* --- before the peer speaks --- */

static void open_apart(const struct peer_options *options)
{
    endpoint_open(&first, &(struct endpoint_options){.worker_id = 1, .first_lb = 0});
    endpoint_open(&second,
                  &(struct endpoint_options){.worker_id = 2, .first_lb = 7, .store = first.store});
    peer_open(&peer, options);
    cr_assert(peer_connect(&peer, &first));
    cr_assert(peer_converses(&peer, &first));
    pass(MARK_INTERVAL_MS);
}

/* Its lb is number 1 here and number 8 there. */
static void expect_sent_by_an_heir(void)
{
    const struct cid cid = first.dtls->sessions.newest->own_cid;
    uint8_t text[16];
    cr_assert_not(dtls_holds(second.dtls, &cid));
    cr_assert_eq(dtls_claim(second.dtls, &cid), STATUS_OK);
    endpoint_run(&second, 0);
    cr_assert_eq(second.claimed, 1);
    cr_assert_eq(second.claim_outcome, STORE_OK);
    cr_assert(dtls_holds(second.dtls, &cid));
    struct session *session = session_by_cid(&second.dtls->sessions, cid.bytes, cid.length);
    cr_assert_not_null(session);
    cr_expect_eq(session->path.lb, 8);
    cr_expect_eq(session->path.listener, 2);
    dtls_send(second.dtls, session, (const uint8_t *)"owed", 4);
    cr_assert_gt(peer_collect(&peer, &second), 0);
    cr_expect_eq(peer_receive(&peer, text, sizeof(text)), 4);
    cr_expect_arr_eq(text, "owed", 4);
}

Test(dtls_store, an_heir_speaks_first)
{
    open_apart(&(struct peer_options){.cid = true, .cid_length = 4});
    expect_sent_by_an_heir();
    cr_expect(peer_converses(&peer, &second));
    cr_expect_eq(second.adopted, 1);
    cr_expect_eq(endpoint_count(&second, WORKER_HANDSHAKES_OK), 0);
    close_both();
}

Test(dtls_store, an_heir_speaks_first_to_a_peer_without_cid)
{
    open_apart(&(struct peer_options){.cid = false});
    expect_sent_by_an_heir();
    cr_expect(peer_converses(&peer, &second));
    close_both();
}

/* Its peer began anew elsewhere: what this worker holds of the address is the older one. */
Test(dtls_store, an_heir_asks_whose_an_address_is)
{
    open_apart(&(struct peer_options){.cid = false});
    cr_assert(peer_converses(&peer, &second));
    pass(MARK_INTERVAL_MS);
    peer_close(&peer);
    peer_open(&peer, &(struct peer_options){.cid = false});
    cr_assert(peer_connect(&peer, &first));
    const struct cid cid = first.dtls->sessions.newest->own_cid;
    cr_assert_eq(dtls_claim(second.dtls, &cid), STATUS_OK);
    pass(1);
    cr_expect_eq(second.claim_outcome, STORE_UNAVAILABLE, "not now");
    cr_expect_eq(second.missed, 1);
    pass(1);
    /* The older one is gone for good: as an obliged one it would come back, and again be in the
     * way. */
    cr_expect_eq(second.dtls->sessions.by_cid.count, 0);
    cr_expect_eq(endpoint_stored(&second), 1);
    cr_assert_eq(dtls_claim(second.dtls, &cid), STATUS_OK);
    pass(1);
    cr_expect_eq(second.claim_outcome, STORE_OK, "it is still stored");
    cr_expect(dtls_holds(second.dtls, &cid));
    close_both();
}

Test(dtls_store, what_is_claimed_may_be_gone)
{
    open_apart(&(struct peer_options){.cid = true});
    const struct cid cid = {.length = 8, .bytes = {0x27, 1}};
    cr_assert_eq(dtls_claim(second.dtls, &cid), STATUS_OK);
    endpoint_run(&second, 0);
    cr_expect_eq(second.claim_outcome, STORE_NOT_FOUND);
    cr_expect_not(dtls_holds(second.dtls, &cid));
    close_both();
}

/* Whoever takes it then finds it as it was left: the window, too. */
Test(dtls_store, a_session_is_checked_by_saving_its_mark)
{
    open_apart(&(struct peer_options){.cid = true});
    const struct cid cid = peer_server_cid(&peer);
    cr_assert(peer_send(&peer, "x", 1));
    cr_assert_eq(peer_deliver(&peer, &first), 1);
    const struct session *held = session_by_cid(&first.dtls->sessions, cid.bytes, cid.length);
    cr_assert(held->dirty);
    uint64_t newest = held->replay.newest;
    cr_assert_eq(dtls_check(first.dtls, &cid), STATUS_OK);
    endpoint_run(&first, 0);
    cr_expect_eq(first.checked, 1);
    cr_expect_eq(first.check_outcome, STORE_OK);
    cr_expect(dtls_holds(first.dtls, &cid));
    cr_expect_eq(first.lost, 0);

    cr_assert_eq(dtls_claim(second.dtls, &cid), STATUS_OK);
    endpoint_run(&second, 0);
    const struct session *taken = session_by_cid(&second.dtls->sessions, cid.bytes, cid.length);
    cr_assert_not_null(taken);
    cr_expect_eq(taken->replay.newest, newest);

    cr_assert_eq(dtls_check(first.dtls, &cid), STATUS_OK);
    endpoint_run(&first, 0);
    cr_expect_eq(first.checked, 2);
    cr_expect_eq(first.check_outcome, STORE_STALE);
    cr_expect_not(dtls_holds(first.dtls, &cid));
    cr_expect_eq(first.lost, 1);
    cr_expect_eq(first.ended, 1);
    cr_expect_eq(endpoint_stored(&first), 1, "not out of the store");
    cr_expect_eq(dtls_check(first.dtls, &cid), STATUS_EXISTS, "it is not held");
    cr_expect(peer_converses(&peer, &second));
    close_both();
}

/* A refusal that was on its way when we claimed the session again says nothing of what we hold. */
Test(dtls_store, an_old_refusal_does_not_take_what_was_claimed_since)
{
    open_apart(&(struct peer_options){.cid = true});
    const struct cid cid = peer_server_cid(&peer);
    struct session *held = session_by_cid(&first.dtls->sessions, cid.bytes, cid.length);
    cr_assert_eq(dtls_claim(first.dtls, &cid), STATUS_OK);
    cr_assert_eq(dtls_check(first.dtls, &cid), STATUS_OK); /* with the fence of before */
    endpoint_run(&first, 0);
    cr_expect_eq(first.claim_outcome, STORE_OK);
    cr_expect_eq(first.checked, 1);
    cr_expect_eq(first.check_outcome, STORE_UNAVAILABLE, "ask again");
    cr_expect_eq(first.lost, 0);
    cr_assert(dtls_holds(first.dtls, &cid));
    cr_expect_eq(held->fence, 2);
    cr_expect(held->dirty, "what was refused is not saved");
    cr_expect(peer_converses(&peer, &first));
    close_both();
}

Test(dtls_store, a_claim_without_an_answer_is_missed)
{
    open_apart(&(struct peer_options){.cid = true});
    const struct cid cid = peer_server_cid(&peer);
    cr_assert(peer_send(&peer, "x", 1));
    endpoint_break_store(&second, &(struct endpoint_breakage){.claims = true});
    (void)peer_deliver(&peer, &second);
    endpoint_run(&second, 0);
    cr_expect_eq(second.missed, 1, "by a record");
    cr_assert_eq(dtls_claim(second.dtls, &cid), STATUS_OK);
    endpoint_run(&second, 0);
    cr_expect_eq(second.missed, 2, "without one");
    endpoint_break_store(&second, &(struct endpoint_breakage){0});
    cr_assert_eq(dtls_claim(second.dtls, &cid), STATUS_OK);
    endpoint_run(&second, 0);
    cr_expect_eq(second.claim_outcome, STORE_OK);
    cr_expect_eq(second.missed, 2);
    close_both();
}
