/* A session as the store gives it back: what 1 ‖ length of the mark 1 ‖ mark ‖ the rest.
 *   what & 1: the rest is plain text, sealed here under the vault's key: what an authentic record
 *             of another version may hold; else it is the sealed part as it stands.
 * A session that can be read is written again and must be the same when it is read back. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>
#include <string.h>

#include "worker/session_record.h"

enum { PLAIN = 1 };

static const struct cluster_key cluster = {.bytes = {1, 2, 3}};
static const struct cid name = {.length = 8, .bytes = {0x27, 1, 2, 3, 4, 5, 6, 7}};

static struct vault vault;
static uint8_t plain[STORE_SEALED_MAX];
static uint8_t sealed[STORE_SEALED_MAX];

static struct octets name_octets(void)
{
    return (struct octets){name.bytes, name.length};
}

static struct octets written(const struct writer *writer)
{
    return (struct octets){writer->start, writer_length(writer)};
}

static void expect_equal(const void *a, const void *b, size_t length)
{
    if (length > 0 && memcmp(a, b, length) != 0)
        abort();
}

static void read_back(const struct session_record *first)
{
    uint8_t mark[STORE_MARK_MAX], mark_again[STORE_MARK_MAX], plain_again[STORE_SEALED_MAX];
    struct session_record again;
    struct writer seal_writer = writer_over(sealed, sizeof(sealed));
    struct writer mark_writer = writer_over(mark, sizeof(mark));
    struct writer mark_again_writer = writer_over(mark_again, sizeof(mark_again));
    session_record_write_mark(&first->session, first->lb_name, &mark_writer);
    if (session_record_seal(&vault, &first->session, &first->keys, first->identity,
                            first->identity_length, &seal_writer) != STATUS_OK ||
        session_record_read(&vault, &name, written(&seal_writer), written(&mark_writer),
                            plain_again, &again) != SESSION_RECORD_READ)
        abort();
    session_record_write_mark(&again.session, again.lb_name, &mark_again_writer);
    if (!writer_ok(&mark_writer) || writer_length(&mark_writer) != SESSION_MARK_SIZE ||
        again.session.suite != first->session.suite ||
        again.session.uses_cid != first->session.uses_cid ||
        again.session.nonce_prefix != first->session.nonce_prefix ||
        !cid_equal(&again.session.peer_cid, &first->session.peer_cid) ||
        again.identity_length != first->identity_length)
        abort();
    expect_equal(mark, mark_again, SESSION_MARK_SIZE);
    expect_equal(&again.keys.read, &first->keys.read, sizeof(first->keys.read));
    expect_equal(&again.keys.write, &first->keys.write, sizeof(first->keys.write));
    expect_equal(again.identity, first->identity, first->identity_length);
}

static struct octets seal(struct octets text)
{
    struct writer writer = writer_over(sealed, sizeof(sealed));
    if (vault_seal(&vault, VAULT_SESSION, name_octets(), text, &writer) != STATUS_OK)
        return (struct octets){sealed, 0};
    return written(&writer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct session_record record;
    struct cursor cursor = cursor_over(data, size);
    uint8_t what = cursor_u8(&cursor);
    size_t mark_length = cursor_u8(&cursor);
    if (mark_length > cursor_left(&cursor))
        mark_length = cursor_left(&cursor);
    const struct octets mark = {cursor_bytes(&cursor, mark_length), mark_length};
    struct octets rest = {.length = cursor_left(&cursor)};
    rest.bytes = cursor_bytes(&cursor, rest.length);
    if (!cursor_ok(&cursor) || rest.length > STORE_SEALED_MAX)
        return 0;
    if (vault_init(&vault, &cluster, 0) != STATUS_OK)
        abort();
    if (what & PLAIN)
        rest = seal(rest);
    if (session_record_read(&vault, &name, rest, mark, plain, &record) == SESSION_RECORD_READ)
        read_back(&record);
    vault_free(&vault);
    return 0;
}
