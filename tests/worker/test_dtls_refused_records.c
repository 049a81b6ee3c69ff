/* Stored sessions that cannot be used: each is counted by its reason, never served, and harms no
 * other. The first worker writes them, the second finds them. */
#include "worker/dtls.h"

#include "tests/worker/endpoint.h"
#include "tests/worker/peer.h"
#include "worker/session_record.h"

#include <criterion/criterion.h>
#include <string.h>

static struct endpoint first, second;
static struct peer peer;
static const struct peer_options with_cid = {.cid = true};

static void open_endpoints(void)
{
    endpoint_open(&first, &(struct endpoint_options){.worker_id = 1});
    endpoint_open(&second, &(struct endpoint_options){.worker_id = 2, .store = first.store});
}

static void close_both(void)
{
    peer_close(&peer);
    endpoint_close(&second);
    endpoint_close(&first);
}

static uint8_t kept_sealed[STORE_SEALED_MAX];
static uint8_t kept_mark[STORE_MARK_MAX];

static void keep(struct octets *octets, uint8_t *space)
{
    memcpy(space, octets->bytes, octets->length);
    octets->bytes = space;
}

static void truncate_sealed(struct octets *sealed, struct octets *mark)
{
    (void)mark;
    sealed->length = VAULT_OVERHEAD - 1;
}

static void truncate_mark(struct octets *sealed, struct octets *mark)
{
    (void)sealed;
    mark->length--;
}

static void spoil_sealed(struct octets *sealed, struct octets *mark)
{
    (void)mark;
    keep(sealed, kept_sealed);
    kept_sealed[sealed->length / 2] ^= 1;
}

static void age_sealed(struct octets *sealed, struct octets *mark)
{
    (void)mark;
    keep(sealed, kept_sealed);
    kept_sealed[0] = VAULT_FORMAT + 1;
}

static void age_mark(struct octets *sealed, struct octets *mark)
{
    (void)sealed;
    keep(mark, kept_mark);
    kept_mark[0] = SESSION_MARK_FORMAT + 1;
}

static void reseal(const struct cluster_key *key, uint8_t key_id)
{
    vault_free(&first.vault);
    cr_assert_eq(vault_init(&first.vault, key, key_id), STATUS_OK);
}

/* The heir counts why, answers nothing, and serves others; so it goes with each further record. */
static void expect_refused(const struct peer_options *options,
                           void (*tamper)(struct octets *, struct octets *),
                           enum worker_metric reason)
{
    struct peer neighbour;
    endpoint_break_store(&first, &(struct endpoint_breakage){.tamper = tamper});
    peer_open(&peer, options);
    cr_assert(peer_connect(&peer, &first));
    endpoint_break_store(&first, &(struct endpoint_breakage){0});
    for (uint64_t i = 1; i <= 3; i++) {
        cr_expect_not(peer_converses(&peer, &second));
        cr_expect_eq(endpoint_count(&second, reason), i);
        cr_expect_eq(endpoint_count(&second, WORKER_DROPPED_STORE), i);
    }
    uint64_t refused = 0;
    for (size_t i = WORKER_STORED_TRUNCATED; i <= WORKER_STORED_NONSENSE; i++)
        refused += metrics_get(&second.metrics, i);
    cr_expect_eq(refused, 3, "under one reason only");
    cr_expect_eq(second.adopted, 0);
    cr_expect_eq(second.received.count, 0);
    cr_expect_eq(second.sent.count, 0);
    cr_expect_eq(endpoint_sessions(&second), 0);
    peer_open(&neighbour, &(struct peer_options){.cid = true,
                                                 .identity = ENDPOINT_IDENTITY2,
                                                 .address = endpoint_address(7, 777)});
    cr_expect(peer_connect(&neighbour, &second));
    cr_expect(peer_converses(&neighbour, &second));
    peer_close(&neighbour);
    close_both();
}

Test(dtls_refused_records, a_truncated_record_is_not_served)
{
    open_endpoints();
    expect_refused(&with_cid, truncate_sealed, WORKER_STORED_TRUNCATED);
}

Test(dtls_refused_records, a_truncated_mark_is_not_served)
{
    open_endpoints();
    expect_refused(&with_cid, truncate_mark, WORKER_STORED_TRUNCATED);
}

Test(dtls_refused_records, a_spoilt_record_is_not_served)
{
    open_endpoints();
    expect_refused(&with_cid, spoil_sealed, WORKER_STORED_BAD_TAG);
}

Test(dtls_refused_records, a_record_of_a_later_version_is_not_served)
{
    open_endpoints();
    expect_refused(&with_cid, age_sealed, WORKER_STORED_FORMAT);
}

Test(dtls_refused_records, a_mark_of_a_later_version_is_not_served)
{
    open_endpoints();
    expect_refused(&with_cid, age_mark, WORKER_STORED_FORMAT);
}

Test(dtls_refused_records, a_record_under_a_key_of_a_later_rotation_is_not_served)
{
    open_endpoints();
    reseal(&first.cluster_key, 1);
    expect_refused(&with_cid, NULL, WORKER_STORED_KEY);
}

Test(dtls_refused_records, a_record_of_another_cluster_is_not_served)
{
    static const struct cluster_key stranger = {.bytes = {9, 9, 9}};
    open_endpoints();
    reseal(&stranger, 0);
    expect_refused(&with_cid, NULL, WORKER_STORED_BAD_TAG);
}

Test(dtls_refused_records, nor_is_one_that_was_found_by_its_address)
{
    open_endpoints();
    expect_refused(&(struct peer_options){.cid = false}, spoil_sealed, WORKER_STORED_BAD_TAG);
}

Test(dtls_refused_records, after_a_rotation_older_records_are_served)
{
    open_endpoints();
    vault_free(&second.vault);
    cr_assert_eq(vault_init(&second.vault, &second.cluster_key, 5), STATUS_OK);
    peer_open(&peer, &with_cid);
    cr_assert(peer_connect(&peer, &first));
    cr_expect(peer_converses(&peer, &second));
    close_both();
}
