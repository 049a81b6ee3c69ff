#include "tests/lb/datagrams.h"

#include "shared/keys.h"
#include "shared/record.h"

#include <criterion/criterion.h>

/* Read as a length, by who takes a wrong place for it, it leads past any datagram. */
static const uint8_t payload[20] = {[0 ... 19] = 0xff};

static void write_header(struct writer *writer, uint8_t type, uint16_t epoch)
{
    writer_u8(writer, type);
    writer_u16(writer, RECORD_VERSION_DTLS12);
    writer_u16(writer, epoch);
    writer_u48(writer, 7);
}

void datagram_plain(struct writer *writer, uint8_t type, uint16_t epoch, const void *content,
                    size_t length)
{
    write_header(writer, type, epoch);
    writer_u16(writer, (uint16_t)length);
    writer_bytes(writer, content, length);
}

void datagram_client_hello(struct writer *writer)
{
    static const uint8_t hello[40] = {1, 0, 0, 28};
    datagram_plain(writer, RECORD_TYPE_HANDSHAKE, 0, hello, sizeof(hello));
}

void datagram_cid(struct writer *writer, const uint8_t *cid, size_t cid_length)
{
    write_header(writer, RECORD_TYPE_TLS12_CID, 1);
    writer_bytes(writer, cid, cid_length);
    writer_u16(writer, sizeof(payload));
    writer_bytes(writer, payload, sizeof(payload));
}

void datagram_unified(struct writer *writer, const uint8_t *cid, size_t cid_length)
{
    writer_u8(writer, cid_length > 0 ? 0x3f : 0x2f);
    writer_bytes(writer, cid, cid_length);
    writer_u16(writer, 7);
    writer_u16(writer, sizeof(payload));
    writer_bytes(writer, payload, sizeof(payload));
}

void config_make(struct cid_config *configs, uint8_t id, size_t cid_length, uint8_t key)
{
    struct cluster_key cluster;
    uint8_t cid_key[CID_KEY_SIZE];
    uint8_t worker_id_length = CID_WORKER_ID_LENGTH(cid_length);

    memset(&cluster, key, sizeof(cluster));
    cr_assert_eq(keys_derive(&cluster, KEY_CID, &id, 1, cid_key, sizeof(cid_key)), STATUS_OK);
    cr_assert_eq(cid_config_init(&configs[id], id, worker_id_length,
                                 (uint8_t)(cid_length - 1 - worker_id_length), cid_key),
                 STATUS_OK);
}

struct cid config_cid(struct cid_config *configs, uint8_t id, uint16_t worker, uint32_t nonce)
{
    struct cid cid;
    uint8_t worker_id[2] = {(uint8_t)(worker >> 8), (uint8_t)worker};
    uint8_t nonce_bytes[CID_LENGTH_MAX] = {0};
    struct cid_config *config = &configs[id];

    for (size_t i = 0; i < 4; i++)
        nonce_bytes[i] = (uint8_t)(nonce >> (8 * i));
    cr_assert_eq(cid_encode(config, worker_id + 2 - config->worker_id_length, nonce_bytes, &cid),
                 STATUS_OK);
    return cid;
}

void configs_free(struct cid_config *configs)
{
    for (size_t id = 0; id < CID_CONFIGS_MAX; id++) {
        if (configs[id].in_use)
            cid_config_free(&configs[id]);
    }
}

struct address source_v4(uint32_t number, uint16_t port)
{
    struct address address = {.ip = {[10] = 0xff, [11] = 0xff, [12] = 10}, .port = port};
    for (size_t i = 0; i < 3; i++)
        address.ip[13 + i] = (uint8_t)(number >> (8 * (2 - i)));
    return address;
}

struct address source_v6(uint64_t network, uint16_t port)
{
    struct address address = {.ip = {0x20, 0x01, 0x0d, 0xb8, [15] = 1}, .port = port};
    for (size_t i = 0; i < 3; i++)
        address.ip[4 + i] = (uint8_t)(network >> (8 * (2 - i)));
    return address;
}
