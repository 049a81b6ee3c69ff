/* Any datagram, as a DTLS listener and as a plain CoAP listener takes it: what is pointed out lies
 * inside it, and a routable CID is one that decodes. */
#include "lb/classify.h"
#include "tests/fuzz/fuzz.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static struct cid_config configs[CID_CONFIGS_MAX];

static void demand(bool holds)
{
    if (!holds)
        abort();
}

/* Two configs as during a key rotation: the Feistel network and the single AES block. */
static void set_up(void)
{
    static const uint8_t key[CID_KEY_SIZE] = {1, 2, 3};
    if (configs[0].in_use)
        return;
    demand(cid_config_init(&configs[0], 0, 2, 5, key) == STATUS_OK);
    demand(cid_config_init(&configs[3], 3, 2, 14, key) == STATUS_OK);
}

static bool inside(const uint8_t *part, size_t part_length, const uint8_t *data, size_t size)
{
    return part >= data && part_length <= size && (size_t)(part - data) <= size - part_length;
}

static void try_dtls(const uint8_t *data, size_t size)
{
    uint8_t worker[CID_LENGTH_MAX], nonce[CID_LENGTH_MAX];
    struct classification class = classify_dtls(configs, data, size);

    demand(class.outcome != CLASS_OSCORE);
    demand(size > 0 || class.outcome == CLASS_MALFORMED);
    if (class.outcome != CLASS_ROUTABLE_CID)
        return;
    demand(inside(class.cid, class.cid_length, data, size));
    demand(cid_decode(configs, class.cid, class.cid_length, worker, nonce) == CID_ROUTABLE);
    demand(class.worker == cid_worker_number(worker, 2));
}

static void try_coap(const uint8_t *data, size_t size)
{
    struct classification class = classify_coap(data, size);

    demand(!class.starts_handshake);
    if (class.outcome != CLASS_OSCORE)
        return;
    const struct oscore_ids *ids = &class.oscore;
    demand(inside(ids->kid, ids->kid_length, data, size));
    demand(ids->context_length == 0 || inside(ids->context, ids->context_length, data, size));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    set_up();
    try_dtls(data, size);
    try_coap(data, size);
    return 0;
}
