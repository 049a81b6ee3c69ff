#include "worker/session_record.h"

#include <string.h>

enum { FLAG_USES_CID = 1, MARK_PATH_PROVEN = 1, MARK_FORMAT_NAMELESS = 1 };

static struct octets name_of(const struct cid *cid)
{
    return (struct octets){cid->bytes, cid->length};
}

static void write_keys(struct writer *writer, const struct suite *suite,
                       const struct record_keys *keys)
{
    writer_bytes(writer, keys->key, suite->key_length);
    writer_bytes(writer, keys->iv, suite->iv_length);
}

static void read_octets(struct cursor *cursor, void *to, size_t length)
{
    const uint8_t *bytes = cursor_bytes(cursor, length);
    if (bytes && length > 0)
        memcpy(to, bytes, length);
}

static void read_keys(struct cursor *cursor, const struct suite *suite, struct record_keys *keys)
{
    read_octets(cursor, keys->key, suite->key_length);
    read_octets(cursor, keys->iv, suite->iv_length);
}

enum status session_record_seal(struct vault *vault, const struct session *session,
                                const struct session_keys *keys, const uint8_t *identity,
                                size_t identity_length, struct writer *sealed)
{
    const struct suite *suite = session_suite(session);
    uint8_t plain[STORE_SEALED_MAX];
    struct writer writer = writer_over(plain, sizeof(plain));
    writer_u8(&writer, SESSION_RECORD_FORMAT);
    writer_u8(&writer, session->uses_cid ? FLAG_USES_CID : 0);
    writer_u16(&writer, suite->iana);
    writer_u16(&writer, session->nonce_prefix);
    write_keys(&writer, suite, &keys->read);
    write_keys(&writer, suite, &keys->write);
    writer_u8(&writer, session->peer_cid.length);
    writer_bytes(&writer, session->peer_cid.bytes, session->peer_cid.length);
    writer_u8(&writer, (uint8_t)identity_length);
    writer_bytes(&writer, identity, identity_length);
    enum status status = STATUS_TOO_LONG;
    if (writer_ok(&writer) && identity_length <= IDENTITY_LENGTH_MAX)
        status = vault_seal(vault, VAULT_SESSION, name_of(&session->own_cid),
                            (struct octets){plain, writer_length(&writer)}, sealed);
    keys_wipe(plain, sizeof(plain));
    return status;
}

void session_record_write_mark(const struct session *session, uint32_t lb_name, struct writer *mark)
{
    writer_u8(mark, SESSION_MARK_FORMAT);
    writer_u8(mark, session->path_proven ? MARK_PATH_PROVEN : 0);
    writer_u64(mark, session->replay.newest);
    writer_u64(mark, session->replay.seen);
    writer_u16(mark, session->next_message_id);
    writer_u16(mark, session->address_changes);
    writer_u8(mark, session->path.listener);
    address_write(mark, &session->path.address);
    address_write(mark, &session->previous_address);
    writer_u32(mark, lb_name);
}

/* Format 1 ends before the lb's name. */
static enum session_record_outcome read_mark(struct octets mark, struct session_record *record)
{
    struct session *session = &record->session;
    struct cursor cursor = cursor_over(mark.bytes, mark.length);
    uint8_t format = cursor_u8(&cursor);
    if (cursor_ok(&cursor) && format != SESSION_MARK_FORMAT && format != MARK_FORMAT_NAMELESS)
        return SESSION_RECORD_UNKNOWN_FORMAT;
    session->path_proven = cursor_u8(&cursor) & MARK_PATH_PROVEN;
    session->replay.newest = cursor_u64(&cursor);
    session->replay.seen = cursor_u64(&cursor);
    session->next_message_id = cursor_u16(&cursor);
    session->address_changes = cursor_u16(&cursor);
    session->path.listener = cursor_u8(&cursor);
    session->path.address = address_read(&cursor);
    session->previous_address = address_read(&cursor);
    record->lb_name = format == MARK_FORMAT_NAMELESS ? 0 : cursor_u32(&cursor);
    return cursor_ok(&cursor) ? SESSION_RECORD_READ : SESSION_RECORD_TRUNCATED;
}

static enum session_record_outcome read_plain(struct cursor *cursor, struct session_record *record)
{
    struct session *session = &record->session;
    if (cursor_u8(cursor) != SESSION_RECORD_FORMAT)
        return cursor_ok(cursor) ? SESSION_RECORD_UNKNOWN_FORMAT : SESSION_RECORD_TRUNCATED;
    session->uses_cid = cursor_u8(cursor) & FLAG_USES_CID;
    const struct suite *suite = suite_find(cursor_u16(cursor));
    if (!suite)
        return SESSION_RECORD_NONSENSE;
    session->suite = (uint8_t)(suite - suites);
    session->nonce_prefix = cursor_u16(cursor);
    read_keys(cursor, suite, &record->keys.read);
    read_keys(cursor, suite, &record->keys.write);
    session->peer_cid.length = cursor_u8(cursor);
    if (session->peer_cid.length > CID_LENGTH_MAX)
        return SESSION_RECORD_NONSENSE;
    read_octets(cursor, session->peer_cid.bytes, session->peer_cid.length);
    record->identity_length = cursor_u8(cursor);
    record->identity = cursor_bytes(cursor, record->identity_length);
    if (!cursor_ok(cursor) || record->identity_length > IDENTITY_LENGTH_MAX)
        return SESSION_RECORD_NONSENSE;
    return SESSION_RECORD_READ;
}

enum session_record_outcome session_record_read(struct vault *vault, const struct cid *own_cid,
                                                struct octets sealed, struct octets mark,
                                                uint8_t plain[STORE_SEALED_MAX],
                                                struct session_record *record)
{
    static const enum session_record_outcome refusals[VAULT_OUTCOMES] = {
        [VAULT_OPENED] = SESSION_RECORD_READ,
        [VAULT_TRUNCATED] = SESSION_RECORD_TRUNCATED,
        [VAULT_UNKNOWN_FORMAT] = SESSION_RECORD_UNKNOWN_FORMAT,
        [VAULT_UNKNOWN_KEY] = SESSION_RECORD_UNKNOWN_KEY,
        [VAULT_BAD_TAG] = SESSION_RECORD_BAD_TAG,
    };
    *record = (struct session_record){.session.own_cid = *own_cid};
    size_t length;
    enum session_record_outcome outcome = refusals[vault_open(
        vault, VAULT_SESSION, name_of(own_cid), sealed, plain, STORE_SEALED_MAX, &length)];
    if (outcome == SESSION_RECORD_READ) {
        struct cursor cursor = cursor_over(plain, length);
        outcome = read_plain(&cursor, record);
    }
    if (outcome == SESSION_RECORD_READ)
        outcome = read_mark(mark, record);
    return outcome;
}
