#include "shared/protect.h"

#include <string.h>
#include <wolfssl/wolfcrypt/chacha20_poly1305.h>
#include <wolfssl/wolfcrypt/error-crypt.h>

#define NONCE_SIZE      12
#define CID_ON_WIRE_MAX 32

enum status protector_init(struct protector *protector)
{
    return wc_AesInit(&protector->aes, NULL, INVALID_DEVID) == 0 ? STATUS_OK : STATUS_CRYPTO;
}

void protector_free(struct protector *protector)
{
    wc_AesFree(&protector->aes);
}

size_t protect_overhead(const struct suite *suite, size_t cid_length)
{
    size_t inner_type = cid_length > 0 ? 1 : 0;
    return RECORD_HEADER_SIZE + cid_length + suite->explicit_length + inner_type +
           suite->tag_length;
}

uint16_t protect_prefix_apart(uint16_t epoch, uint16_t theirs)
{
    return theirs == epoch || theirs == (uint16_t)(epoch - 1) ? (uint16_t)(0x8000 | epoch) : epoch;
}

size_t protect_additional_data(uint8_t aad[PROTECT_AAD_MAX], const struct record_header *header,
                               uint16_t version, size_t plaintext_length)
{
    struct writer writer = writer_over(aad, PROTECT_AAD_MAX);
    if (header->cid_length > 0) {
        /* RFC 9146 section 5.3: seq_num_placeholder + tls12_cid + cid_length + tls12_cid +
         * DTLSCiphertext.version + epoch + sequence_number + cid + length_of_DTLSInnerPlaintext */
        writer_u64(&writer, UINT64_MAX);
        writer_u8(&writer, RECORD_TYPE_TLS12_CID);
        writer_u8(&writer, (uint8_t)header->cid_length);
        writer_u8(&writer, RECORD_TYPE_TLS12_CID);
        writer_u16(&writer, version);
        writer_u16(&writer, header->epoch);
        writer_u48(&writer, header->sequence);
        writer_bytes(&writer, header->cid, header->cid_length);
        writer_u16(&writer, (uint16_t)plaintext_length);
    } else {
        /* RFC 5246 section 6.2.3.3 with the epoch in seq_num's upper 16 bits (RFC 6347, 4.1.2.1) */
        writer_u16(&writer, header->epoch);
        writer_u48(&writer, header->sequence);
        writer_u8(&writer, header->type);
        writer_u16(&writer, version);
        writer_u16(&writer, (uint16_t)plaintext_length);
    }
    return writer_ok(&writer) ? writer_length(&writer) : 0;
}

/* RFC 5288 section 3, RFC 6655 section 3: salt ‖ explicit part. RFC 7905 section 2: the IV XORed
 * with the padded epoch and sequence number. */
static void make_nonce(uint8_t nonce[NONCE_SIZE], const struct suite *suite,
                       const struct record_keys *keys, const uint8_t *explicit_part, uint16_t epoch,
                       uint64_t sequence)
{
    memcpy(nonce, keys->iv, suite->iv_length);
    if (suite->explicit_length > 0) {
        memcpy(nonce + suite->iv_length, explicit_part, suite->explicit_length);
        return;
    }
    uint64_t number = (uint64_t)epoch << 48 | sequence;
    for (size_t i = 0; i < 8; i++)
        nonce[4 + i] ^= (uint8_t)(number >> (56 - 8 * i));
}

static int aead_seal(struct protector *protector, const struct suite *suite, const uint8_t *key,
                     const uint8_t nonce[NONCE_SIZE], const uint8_t *aad, size_t aad_length,
                     uint8_t *text, size_t length)
{
    Aes *aes = &protector->aes;
    uint8_t *tag = text + length;
    int error = BAD_FUNC_ARG;
    switch (suite->aead) {
    case AEAD_AES_CCM:
        error = wc_AesCcmSetKey(aes, key, suite->key_length);
        if (error == 0)
            error = wc_AesCcmEncrypt(aes, text, text, (word32)length, nonce, NONCE_SIZE, tag,
                                     suite->tag_length, aad, (word32)aad_length);
        break;
    case AEAD_AES_GCM:
        error = wc_AesGcmSetKey(aes, key, suite->key_length);
        if (error == 0)
            error = wc_AesGcmEncrypt(aes, text, text, (word32)length, nonce, NONCE_SIZE, tag,
                                     suite->tag_length, aad, (word32)aad_length);
        break;
    case AEAD_CHACHA20_POLY1305:
        error = wc_ChaCha20Poly1305_Encrypt(key, nonce, aad, (word32)aad_length, text,
                                            (word32)length, text, tag);
        break;
    }
    return error;
}

static int aead_open(struct protector *protector, const struct suite *suite, const uint8_t *key,
                     const uint8_t nonce[NONCE_SIZE], const uint8_t *aad, size_t aad_length,
                     uint8_t *text, size_t length)
{
    Aes *aes = &protector->aes;
    const uint8_t *tag = text + length;
    int error = BAD_FUNC_ARG;
    switch (suite->aead) {
    case AEAD_AES_CCM:
        error = wc_AesCcmSetKey(aes, key, suite->key_length);
        if (error == 0)
            error = wc_AesCcmDecrypt(aes, text, text, (word32)length, nonce, NONCE_SIZE, tag,
                                     suite->tag_length, aad, (word32)aad_length);
        break;
    case AEAD_AES_GCM:
        error = wc_AesGcmSetKey(aes, key, suite->key_length);
        if (error == 0)
            error = wc_AesGcmDecrypt(aes, text, text, (word32)length, nonce, NONCE_SIZE, tag,
                                     suite->tag_length, aad, (word32)aad_length);
        break;
    case AEAD_CHACHA20_POLY1305:
        error = wc_ChaCha20Poly1305_Decrypt(key, nonce, aad, (word32)aad_length, text,
                                            (word32)length, tag, text);
        break;
    }
    return error;
}

enum status protect_seal(struct protector *protector, const struct suite *suite,
                         const struct record_keys *keys, const struct record_header *header,
                         const uint8_t *content, size_t length, struct writer *out)
{
    bool with_cid = header->cid_length > 0;
    size_t inner_length = length + (with_cid ? 1 : 0);
    size_t payload_length = suite->explicit_length + inner_length + suite->tag_length;
    if (header->sequence > RECORD_SEQUENCE_MAX)
        return STATUS_EXHAUSTED;
    if (payload_length > UINT16_MAX || header->cid_length > CID_ON_WIRE_MAX)
        return STATUS_TOO_LONG;

    writer_u8(out, with_cid ? RECORD_TYPE_TLS12_CID : header->type);
    writer_u16(out, RECORD_VERSION_DTLS12);
    writer_u16(out, header->epoch);
    writer_u48(out, header->sequence);
    writer_bytes(out, header->cid, header->cid_length);
    writer_u16(out, (uint16_t)payload_length);
    uint8_t *payload = writer_space(out, payload_length);
    if (!payload)
        return STATUS_TOO_LONG;

    struct writer explicit_part = writer_over(payload, suite->explicit_length);
    if (suite->explicit_length > 0) {
        writer_u16(&explicit_part, header->nonce_prefix);
        writer_u48(&explicit_part, header->sequence);
    }
    uint8_t *text = payload + suite->explicit_length;
    if (length > 0)
        memcpy(text, content, length);
    if (with_cid)
        text[length] = header->type; /* DTLSInnerPlaintext.real_type, no padding */

    uint8_t aad[PROTECT_AAD_MAX];
    uint8_t nonce[NONCE_SIZE];
    size_t aad_length = protect_additional_data(aad, header, RECORD_VERSION_DTLS12, inner_length);
    make_nonce(nonce, suite, keys, payload, header->epoch, header->sequence);
    int error = aead_seal(protector, suite, keys->key, nonce, aad, aad_length, text, inner_length);
    if (error != 0) {
        memset(text, 0, inner_length);
        out->failed = true;
        return STATUS_CRYPTO;
    }
    return STATUS_OK;
}

enum status protect_open(struct protector *protector, const struct suite *suite,
                         const struct record_keys *keys, const struct record *record,
                         uint8_t **content, size_t *length, uint8_t *type)
{
    bool with_cid = record->form == RECORD_CID;
    size_t sealing = (size_t)suite->explicit_length + suite->tag_length;
    if (record->payload_length < sealing + (with_cid ? 1 : 0) ||
        record->cid_length > CID_ON_WIRE_MAX)
        return STATUS_MALFORMED;

    struct record_header header = {
        .type = record->type,
        .epoch = record->epoch,
        .sequence = record->sequence,
        .cid = record->cid,
        .cid_length = with_cid ? record->cid_length : 0,
    };
    uint8_t *payload = (uint8_t *)record->payload; /* writable by contract */
    uint8_t *text = payload + suite->explicit_length;
    size_t text_length = record->payload_length - sealing;
    uint8_t aad[PROTECT_AAD_MAX];
    uint8_t nonce[NONCE_SIZE];
    size_t aad_length = protect_additional_data(aad, &header, record->version, text_length);
    make_nonce(nonce, suite, keys, payload, record->epoch, record->sequence);
    if (aead_open(protector, suite, keys->key, nonce, aad, aad_length, text, text_length) != 0)
        return STATUS_BAD_TAG;

    *type = record->type;
    if (with_cid) {
        /* RFC 9146 section 4: the type is the last octet that is not zero; what follows is padding. */
        while (text_length > 0 && text[text_length - 1] == 0)
            text_length--;
        if (text_length == 0)
            return STATUS_UNSUPPORTED;
        *type = text[--text_length];
    }
    *content = text;
    *length = text_length;
    return STATUS_OK;
}
