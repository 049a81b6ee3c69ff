#include "worker/session_record.h"

#include <criterion/criterion.h>
#include <string.h>

static const struct cluster_key cluster = {.bytes = {1}};
static const struct cluster_key other_cluster = {.bytes = {2}};

#define LB_NAME 0xcafe1632

static struct vault vault;
static struct session session;
static struct session_keys keys;
static uint8_t sealed[STORE_SEALED_MAX];
static size_t sealed_length;
static uint8_t mark[STORE_MARK_MAX];
static size_t mark_length;
static uint8_t plain[STORE_SEALED_MAX];
static struct session_record record;

static struct cid cid_of(uint8_t length, uint8_t first)
{
    struct cid cid = {.length = length};
    for (uint8_t i = 0; i < length; i++)
        cid.bytes[i] = (uint8_t)(first + i);
    return cid;
}

static struct address address_of(uint8_t last, uint16_t port)
{
    return (struct address){.ip = {0x20, 1, 0x0d, 0xb8, [15] = last}, .port = port};
}

static void open_vault(void)
{
    cr_assert_eq(vault_init(&vault, &cluster, 1), STATUS_OK);
}

static void make_session(size_t suite, uint8_t peer_cid_length, bool uses_cid)
{
    session = (struct session){
        .own_cid = cid_of(8, 0x30),
        .peer_cid = cid_of(peer_cid_length, 0x50),
        .suite = (uint8_t)suite,
        .uses_cid = uses_cid,
        .path_proven = true,
        .nonce_prefix = 0xa1b2,
        .next_message_id = 0xc3d4,
        .address_changes = 0xe5f6,
        .replay = {.newest = UINT64_C(0x0000fedcba987654), .seen = UINT64_C(0xf0f1f2f3f4f5f6f7)},
        .path = {.address = address_of(1, 1111), .lb = 9, .listener = 3},
        .previous_address = address_of(2, 2222),
    };
    keys = (struct session_keys){0};
    memset(keys.read.key, 0x11, suites[suite].key_length);
    memset(keys.read.iv, 0x22, suites[suite].iv_length);
    memset(keys.write.key, 0x33, suites[suite].key_length);
    memset(keys.write.iv, 0x44, suites[suite].iv_length);
}

static enum status write_record(const char *identity)
{
    struct writer writer = writer_over(sealed, sizeof(sealed));
    enum status status = session_record_seal(&vault, &session, &keys, (const uint8_t *)identity,
                                             strlen(identity), &writer);
    sealed_length = writer_length(&writer);
    struct writer mark_writer = writer_over(mark, sizeof(mark));
    session_record_write_mark(&session, LB_NAME, &mark_writer);
    cr_assert(writer_ok(&mark_writer));
    mark_length = writer_length(&mark_writer);
    return status;
}

static enum session_record_outcome read_record(struct vault *by, const struct cid *name)
{
    return session_record_read(by, name, (struct octets){sealed, sealed_length},
                               (struct octets){mark, mark_length}, plain, &record);
}

/* Seals octets as the plain text of a session. */
static void seal_plain(const uint8_t *bytes, size_t length)
{
    struct writer writer = writer_over(sealed, sizeof(sealed));
    cr_assert_eq(vault_seal(&vault, VAULT_SESSION,
                            (struct octets){session.own_cid.bytes, session.own_cid.length},
                            (struct octets){bytes, length}, &writer),
                 STATUS_OK);
    sealed_length = writer_length(&writer);
}

/* The plain text of the session at hand; its length. */
static size_t unseal(uint8_t bytes[STORE_SEALED_MAX])
{
    size_t length = 0;
    cr_assert_eq(vault_open(&vault, VAULT_SESSION,
                            (struct octets){session.own_cid.bytes, session.own_cid.length},
                            (struct octets){sealed, sealed_length}, bytes, STORE_SEALED_MAX,
                            &length),
                 VAULT_OPENED);
    return length;
}

static void expect_same(const char *identity)
{
    const struct session *read = &record.session;
    cr_expect(cid_equal(&read->own_cid, &session.own_cid));
    cr_expect(cid_equal(&read->peer_cid, &session.peer_cid));
    cr_expect_eq(read->uses_cid, session.uses_cid);
    cr_expect_eq(read->suite, session.suite);
    cr_expect_eq(read->nonce_prefix, session.nonce_prefix);
    cr_expect_arr_eq(&record.keys.read, &keys.read, sizeof(keys.read));
    cr_expect_arr_eq(&record.keys.write, &keys.write, sizeof(keys.write));
    cr_expect_eq(read->replay.newest, session.replay.newest);
    cr_expect_eq(read->replay.seen, session.replay.seen);
    cr_expect_eq(read->path_proven, session.path_proven);
    cr_expect_eq(read->next_message_id, session.next_message_id);
    cr_expect_eq(read->address_changes, session.address_changes);
    cr_expect_eq(read->path.listener, session.path.listener);
    cr_expect_eq(record.lb_name, LB_NAME);
    cr_expect(address_equal(&read->path.address, &session.path.address));
    cr_expect(address_equal(&read->previous_address, &session.previous_address));
    cr_expect_eq(read->fence, 0, "the store's to say");
    cr_expect_eq(read->lease_left, 0, "no number comes with a record");
    cr_expect_eq(record.identity_length, strlen(identity));
    cr_expect_eq(memcmp(record.identity, identity, strlen(identity)), 0);
}

Test(session_record, all_suites_and_connection_ids)
{
    static const uint8_t lengths[] = {0, 1, 8, CID_LENGTH_MAX};
    open_vault();
    for (size_t suite = 0; suite < suites_count; suite++) {
        for (size_t i = 0; i < sizeof(lengths); i++) {
            for (int uses_cid = 0; uses_cid < 2; uses_cid++) {
                make_session(suite, lengths[i], uses_cid);
                cr_assert_eq(write_record("device-1"), STATUS_OK);
                cr_assert_eq(read_record(&vault, &session.own_cid), SESSION_RECORD_READ);
                expect_same("device-1");
            }
        }
    }
    vault_free(&vault);
}

Test(session_record, own_connection_ids_of_every_length)
{
    open_vault();
    for (uint8_t length = CID_LENGTH_MIN; length <= CID_LENGTH_MAX; length++) {
        make_session(0, 0, true);
        session.own_cid = cid_of(length, 0x60);
        cr_assert_eq(write_record(""), STATUS_OK);
        cr_assert_eq(read_record(&vault, &session.own_cid), SESSION_RECORD_READ);
        expect_same("");
    }
    vault_free(&vault);
}

Test(session_record, an_unproven_path_stays_unproven)
{
    open_vault();
    make_session(0, 0, true);
    session.path_proven = false;
    cr_assert_eq(write_record("a"), STATUS_OK);
    cr_assert_eq(read_record(&vault, &session.own_cid), SESSION_RECORD_READ);
    expect_same("a");
    vault_free(&vault);
}

/* What workers wrote before lbs had names. */
Test(session_record, a_mark_without_the_lbs_name_can_be_read)
{
    open_vault();
    make_session(0, 8, true);
    cr_assert_eq(write_record("device-1"), STATUS_OK);
    mark[0] = 1;
    mark_length -= 4;
    record.lb_name = 1;
    cr_assert_eq(read_record(&vault, &session.own_cid), SESSION_RECORD_READ);
    cr_expect_eq(record.lb_name, 0);
    cr_expect_eq(record.session.replay.newest, session.replay.newest);
    cr_expect(address_equal(&record.session.previous_address, &session.previous_address));
    mark_length--;
    cr_expect_eq(read_record(&vault, &session.own_cid), SESSION_RECORD_TRUNCATED);
    vault_free(&vault);
}

Test(session_record, sizes_are_those_that_the_header_gives)
{
    char longest[IDENTITY_LENGTH_MAX + 1] = {0};
    memset(longest, 'x', IDENTITY_LENGTH_MAX);
    open_vault();
    make_session(0, 8, true);
    cr_assert_eq(write_record("device-1"), STATUS_OK);
    cr_expect_str_eq(suites[0].name, "TLS_PSK_WITH_AES_128_CCM_8");
    cr_expect_eq(sealed_length, 94);
    cr_expect_eq(mark_length, SESSION_MARK_SIZE);
    for (size_t suite = 0; suite < suites_count; suite++) {
        make_session(suite, CID_LENGTH_MAX, true);
        cr_assert_eq(write_record(longest), STATUS_OK);
        cr_expect_leq(sealed_length, SESSION_RECORD_MAX);
        cr_expect_eq(sealed_length, SESSION_RECORD_OVERHEAD +
                                        2u * (suites[suite].key_length + suites[suite].iv_length) +
                                        CID_LENGTH_MAX + IDENTITY_LENGTH_MAX);
        cr_assert_eq(read_record(&vault, &session.own_cid), SESSION_RECORD_READ);
        expect_same(longest);
    }
    vault_free(&vault);
}

Test(session_record, an_identity_that_is_too_long_is_not_sealed)
{
    char long_identity[IDENTITY_LENGTH_MAX + 2] = {0};
    memset(long_identity, 'x', IDENTITY_LENGTH_MAX + 1);
    open_vault();
    make_session(0, 8, true);
    cr_expect_eq(write_record(long_identity), STATUS_TOO_LONG);
    vault_free(&vault);
}

Test(session_record, a_record_of_another_session_or_cluster_does_not_open)
{
    struct vault other;
    struct cid neighbour;
    open_vault();
    make_session(0, 8, true);
    cr_assert_eq(write_record("a"), STATUS_OK);
    neighbour = session.own_cid;
    neighbour.bytes[7] ^= 1;
    cr_expect_eq(read_record(&vault, &neighbour), SESSION_RECORD_BAD_TAG);
    cr_assert_eq(vault_init(&other, &other_cluster, 1), STATUS_OK);
    cr_expect_eq(read_record(&other, &session.own_cid), SESSION_RECORD_BAD_TAG);
    vault_free(&other);
    cr_assert_eq(vault_init(&other, &cluster, 0), STATUS_OK);
    cr_expect_eq(read_record(&other, &session.own_cid), SESSION_RECORD_UNKNOWN_KEY);
    vault_free(&other);
    sealed[0] = VAULT_FORMAT + 1;
    cr_expect_eq(read_record(&vault, &session.own_cid), SESSION_RECORD_UNKNOWN_FORMAT);
    vault_free(&vault);
}

Test(session_record, each_shorter_length_is_refused)
{
    open_vault();
    make_session(0, 8, true);
    cr_assert_eq(write_record("device-1"), STATUS_OK);
    size_t whole = sealed_length;
    for (sealed_length = 0; sealed_length < whole; sealed_length++)
        cr_expect_eq(read_record(&vault, &session.own_cid), sealed_length < VAULT_OVERHEAD
                                                                ? SESSION_RECORD_TRUNCATED
                                                                : SESSION_RECORD_BAD_TAG);
    cr_expect_eq(read_record(&vault, &session.own_cid), SESSION_RECORD_READ);
    size_t whole_mark = mark_length;
    for (mark_length = 0; mark_length < whole_mark; mark_length++)
        cr_expect_eq(read_record(&vault, &session.own_cid), SESSION_RECORD_TRUNCATED);
    vault_free(&vault);
}

/* Authentic, so only a later version of ours can have written it. */
Test(session_record, each_shorter_plain_text_is_refused)
{
    uint8_t bytes[STORE_SEALED_MAX];
    open_vault();
    make_session(0, 8, true);
    cr_assert_eq(write_record("device-1"), STATUS_OK);
    size_t whole = unseal(bytes);
    for (size_t length = 0; length < whole; length++) {
        seal_plain(bytes, length);
        cr_expect_eq(read_record(&vault, &session.own_cid),
                     length == 0 ? SESSION_RECORD_TRUNCATED : SESSION_RECORD_NONSENSE, "%zu",
                     length);
    }
    vault_free(&vault);
}

Test(session_record, later_formats_are_told_from_nonsense)
{
    enum { FORMAT = 0, SUITE = 2, PEER_CID_LENGTH = 46, IDENTITY_LENGTH = 55 };
    uint8_t bytes[STORE_SEALED_MAX] = {0};
    open_vault();
    make_session(0, 8, true);
    cr_assert_eq(write_record("device-1"), STATUS_OK);
    size_t length = unseal(bytes);
    cr_assert_eq(bytes[PEER_CID_LENGTH], 8);
    cr_assert_eq(bytes[IDENTITY_LENGTH], 8);

    bytes[FORMAT]++;
    seal_plain(bytes, length);
    cr_expect_eq(read_record(&vault, &session.own_cid), SESSION_RECORD_UNKNOWN_FORMAT);
    bytes[FORMAT]--;
    bytes[SUITE] ^= 0x80;
    seal_plain(bytes, length);
    cr_expect_eq(read_record(&vault, &session.own_cid), SESSION_RECORD_NONSENSE);
    bytes[SUITE] ^= 0x80;
    bytes[PEER_CID_LENGTH] = CID_LENGTH_MAX + 1;
    seal_plain(bytes, sizeof(bytes) - VAULT_OVERHEAD);
    cr_expect_eq(read_record(&vault, &session.own_cid), SESSION_RECORD_NONSENSE);
    bytes[PEER_CID_LENGTH] = 255;
    seal_plain(bytes, sizeof(bytes) - VAULT_OVERHEAD);
    cr_expect_eq(read_record(&vault, &session.own_cid), SESSION_RECORD_NONSENSE);
    bytes[PEER_CID_LENGTH] = 8;
    bytes[IDENTITY_LENGTH] = IDENTITY_LENGTH_MAX + 1;
    seal_plain(bytes, sizeof(bytes) - VAULT_OVERHEAD);
    cr_expect_eq(read_record(&vault, &session.own_cid), SESSION_RECORD_NONSENSE);
    bytes[IDENTITY_LENGTH] = IDENTITY_LENGTH_MAX;
    seal_plain(bytes, sizeof(bytes) - VAULT_OVERHEAD);
    cr_expect_eq(read_record(&vault, &session.own_cid), SESSION_RECORD_READ);
    cr_expect_eq(record.identity_length, IDENTITY_LENGTH_MAX);

    mark[0]++;
    cr_expect_eq(read_record(&vault, &session.own_cid), SESSION_RECORD_UNKNOWN_FORMAT);
    vault_free(&vault);
}
