#include "lb/classify.h"

#include "shared/cursor.h"
#include "shared/record.h"

#define HANDSHAKE_TYPE_CLIENT_HELLO 1 /* RFC 5246 section 7.4, RFC 6347 section 4.3.2 */

#define CID_OFFSET 11 /* in a tls12_cid record, RFC 9146 section 4 */
#define CID_OFFSET_UNIFIED 1
#define UNIFIED_MASK 0xe0 /* 001CSLEE, RFC 9147 section 4 */
#define UNIFIED_BITS 0x20
#define UNIFIED_CID 0x10

static bool is_client_hello(const struct record *record)
{
    return record->form == RECORD_PLAINTEXT && record->type == RECORD_TYPE_HANDSHAKE &&
           record->epoch == 0 && record->payload_length > 0 &&
           record->payload[0] == HANDSHAKE_TYPE_CLIENT_HELLO;
}

static bool is_data(const struct record *record)
{
    return record->form == RECORD_PLAINTEXT && record->type == RECORD_TYPE_APPLICATION_DATA &&
           record->epoch > 0;
}

static enum class_outcome class_of(enum cid_outcome outcome)
{
    switch (outcome) {
    case CID_ROUTABLE:
        return CLASS_ROUTABLE_CID;
    case CID_UNROUTABLE:
        return CLASS_UNROUTABLE_CID;
    case CID_UNKNOWN_CONFIG:
        return CLASS_UNKNOWN_CONFIG;
    case CID_WRONG_LENGTH:
        return CLASS_WRONG_LENGTH;
    }
    return CLASS_MALFORMED;
}

/* Why the record at `rest` does not parse. A CID that is none of ours says nothing true about its
 * own length, so that the fields behind it are found in the wrong place: its first octet, whose
 * place is sure, tells that from plain rubbish. */
static enum class_outcome judge_unparsed(const struct cid_config *configs, struct cursor rest,
                                         enum status status)
{
    uint8_t first = cursor_u8(&rest);
    bool unified = (first & UNIFIED_MASK) == UNIFIED_BITS;
    if (status == STATUS_UNSUPPORTED)
        return CLASS_VERSION;
    if (unified ? !(first & UNIFIED_CID) : first != RECORD_TYPE_TLS12_CID)
        return CLASS_MALFORMED;

    (void)cursor_bytes(&rest, (unified ? CID_OFFSET_UNIFIED : CID_OFFSET) - 1u);
    uint8_t cid_first = cursor_u8(&rest);
    if (!cursor_ok(&rest))
        return CLASS_MALFORMED;
    uint8_t id = cid_first >> 5;
    if (id == CID_CONFIG_UNROUTABLE)
        return CLASS_UNROUTABLE_CID;
    const struct cid_config *config = &configs[id];
    if (!config->in_use)
        return CLASS_UNKNOWN_CONFIG;
    if (cid_length_from_first(cid_first) != 1u + config->worker_id_length + config->nonce_length)
        return CLASS_WRONG_LENGTH;
    return CLASS_MALFORMED;
}

/* Notes the record's CID, unless a routable one was found before. */
static void take_cid(struct cid_config *configs, const struct record *record,
                     struct classification *class)
{
    uint8_t worker[CID_LENGTH_MAX], nonce[CID_LENGTH_MAX];

    if (!record->cid || class->outcome == CLASS_ROUTABLE_CID)
        return;
    enum class_outcome outcome =
        class_of(cid_decode(configs, record->cid, record->cid_length, worker, nonce));
    if (outcome == CLASS_ROUTABLE_CID) {
        size_t worker_length = configs[record->cid[0] >> 5].worker_id_length;
        class->worker = worker_length <= sizeof(class->worker)
                            ? cid_worker_number(worker, worker_length)
                            : UINT64_MAX; /* no such worker here */
        class->cid = record->cid;
        class->cid_length = record->cid_length;
        class->outcome = outcome;
    } else if (class->outcome == CLASS_NO_CID) {
        class->outcome = outcome;
    }
}

struct classification classify_dtls(struct cid_config *configs, const uint8_t *datagram,
                                    size_t length)
{
    struct classification class = {.outcome = CLASS_NO_CID};
    struct cursor rest = cursor_over(datagram, length);

    if (length == 0)
        class.outcome = CLASS_MALFORMED;
    for (bool first = true; cursor_left(&rest) > 0; first = false) {
        struct cursor at = rest;
        struct record record;
        enum status status = record_next(&rest, RECORD_CID_SELF_DESCRIBED, &record);
        if (status != STATUS_OK) {
            /* A CID that cannot be routed is worth knowing behind good records too; rubbish is
             * not. */
            enum class_outcome why = judge_unparsed(configs, at, status);
            bool is_cid = why != CLASS_MALFORMED && why != CLASS_VERSION;
            if (first || (is_cid && class.outcome == CLASS_NO_CID))
                class.outcome = why;
            break;
        }
        class.starts_handshake = class.starts_handshake || is_client_hello(&record);
        class.carries_data = class.carries_data || is_data(&record);
        take_cid(configs, &record, &class);
    }
    return class;
}

struct classification classify_coap(const uint8_t *datagram, size_t length)
{
    struct classification class = {.outcome = CLASS_NO_CID};

    if (length == 0)
        class.outcome = CLASS_MALFORMED;
    else if (oscore_find(datagram, length, &class.oscore) == OSCORE_KID)
        class.outcome = CLASS_OSCORE;
    return class;
}
