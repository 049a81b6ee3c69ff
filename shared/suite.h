/* The cipher suites whose records we protect, as one table. All are AEADs of DTLS 1.2: AES-CCM
 * (RFC 6655), AES-GCM (RFC 5487), ChaCha20-Poly1305 (RFC 7905). */
#ifndef HOLDFAST_SHARED_SUITE_H
#define HOLDFAST_SHARED_SUITE_H

#include <stddef.h>
#include <stdint.h>

enum aead { AEAD_AES_CCM, AEAD_AES_GCM, AEAD_CHACHA20_POLY1305 };

struct suite {
    uint16_t iana;            /* number in the TLS Cipher Suites registry */
    const char *name;         /* name there */
    const char *wolfssl_name; /* as wolfSSL_CTX_set_cipher_list wants it */
    enum aead aead;
    uint8_t key_length;      /* octets */
    uint8_t iv_length;       /* octets of the nonce that are not sent */
    uint8_t explicit_length; /* octets of the nonce that each record carries */
    uint8_t tag_length;
};

#define SUITE_KEY_MAX 32
#define SUITE_IV_MAX  12
#define SUITE_TAG_MAX 16

/* In the server's order of preference; CoAP's mandatory one (RFC 7252 section 9.1.3.1) first. */
extern const struct suite suites[];
extern const size_t suites_count;

/* NULL for a suite that is not in the table. */
const struct suite *suite_find(uint16_t iana);

#endif
