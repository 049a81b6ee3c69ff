#include "worker/cid_source.h"

#include "shared/cursor.h"

static void take_block(void *owner, const struct store_answer *answer)
{
    struct cid_source *source = owner;
    source->asked = false;
    if (answer->outcome != STORE_OK)
        return;
    source->spare_first = answer->first;
    source->spare_left = answer->count;
}

/* Asks again with the next CID wanted when the question did not fit or was refused. */
static void ask_when_low(struct cid_source *source)
{
    if (source->asked || source->spare_left > 0 || source->left > NONCE_LEASE / 2)
        return;
    const struct store_waiter waiter = {.answer = take_block, .owner = source};
    source->asked = store_lease_nonces(source->store, source->config->id, &waiter) == STATUS_OK;
}

enum status cid_source_init(struct cid_source *source, struct store *store,
                            const struct cluster_key *key, uint8_t config_id, uint8_t cid_length,
                            uint16_t worker_id)
{
    *source = (struct cid_source){.store = store, .worker_id = worker_id};
    if (config_id >= CID_CONFIGS_MAX || cid_length < CID_LENGTH_MIN || cid_length > CID_LENGTH_MAX)
        return STATUS_UNSUPPORTED;
    uint8_t id_length = CID_WORKER_ID_LENGTH(cid_length);
    if (id_length == 1 && worker_id > UINT8_MAX)
        return STATUS_UNSUPPORTED;

    source->config = &source->configs[config_id];
    uint8_t secret[CID_KEY_SIZE];
    enum status status =
        keys_derive(key, KEY_CID, &config_id, sizeof(config_id), secret, sizeof(secret));
    if (status == STATUS_OK)
        status = cid_config_init(source->config, config_id, id_length,
                                 (uint8_t)(cid_length - 1 - id_length), secret);
    keys_wipe(secret, sizeof(secret));
    if (status == STATUS_OK)
        ask_when_low(source);
    return status;
}

void cid_source_free(struct cid_source *source)
{
    if (source->config)
        cid_config_free(source->config);
}

enum status cid_source_next(struct cid_source *source, struct cid *cid)
{
    if (source->left == 0) {
        source->next = source->spare_first;
        source->left = source->spare_left;
        source->spare_left = 0;
    }
    ask_when_low(source);
    if (source->left == 0)
        return STATUS_EXHAUSTED;

    uint8_t worker_id[CID_LENGTH_MAX];
    uint8_t nonce[CID_LENGTH_MAX] = {0};
    struct writer id_writer = writer_over(worker_id, sizeof(worker_id));
    writer_number(&id_writer, source->worker_id, source->config->worker_id_length);
    /* A nonce of fewer than 8 octets takes the counter's low ones: 2^32 of them at the least. */
    struct writer nonce_writer = writer_over(nonce, sizeof(nonce));
    size_t padding = source->config->nonce_length > 8 ? source->config->nonce_length - 8u : 0;
    (void)writer_space(&nonce_writer, padding); /* zeros */
    writer_number(&nonce_writer, source->next, source->config->nonce_length - padding);

    source->next++;
    source->left--;
    return cid_encode(source->config, worker_id, nonce, cid);
}

static bool is_of_config(const struct cid_config *config, const uint8_t *cid, size_t length)
{
    return length == 1u + config->worker_id_length + config->nonce_length &&
           cid[0] >> 5 == config->id;
}

/* False: not a CID of ours, or of another config or length. */
static bool nonce_number(struct cid_source *source, const uint8_t *cid, size_t length,
                         uint64_t *number)
{
    const struct cid_config *config = source->config;
    uint8_t worker_id[CID_LENGTH_MAX];
    uint8_t nonce[CID_LENGTH_MAX];
    if (!is_of_config(config, cid, length) ||
        cid_decode(source->configs, cid, length, worker_id, nonce) != CID_ROUTABLE)
        return false;
    size_t padding = config->nonce_length > 8 ? config->nonce_length - 8u : 0;
    struct cursor cursor = cursor_over(nonce + padding, config->nonce_length - padding);
    *number = cursor_number(&cursor, cursor_left(&cursor));
    return true;
}

/* Other workers take blocks too; what they have taken since our last one is not known exactly. */
bool cid_source_could_be(struct cid_source *source, const uint8_t *cid, size_t length)
{
    uint64_t number;
    if (!is_of_config(source->config, cid, length))
        return true;
    if (!nonce_number(source, cid, length, &number))
        return false;
    uint64_t ours = source->next + source->left;
    uint64_t spare = source->spare_first + source->spare_left;
    uint64_t known = ours > spare ? ours : spare;
    known = source->seen > known ? source->seen : known;
    return number <= known + NONCE_LEASES_AHEAD * (uint64_t)NONCE_LEASE;
}

void cid_source_learn(struct cid_source *source, const struct cid *cid)
{
    uint64_t number;
    if (nonce_number(source, cid->bytes, cid->length, &number) && number > source->seen)
        source->seen = number;
}
