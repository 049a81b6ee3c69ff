#include "worker/coap_peer.h"

#include <criterion/criterion.h>

Test(coap_peer, is_a_session_or_an_address)
{
    static const struct path home = {.address = {.port = 1}, .lb = 1};
    static const struct path same = {.address = {.port = 1}, .lb = 2, .listener = 3};
    static const struct path away = {.address = {.port = 2}, .lb = 1};
    static const struct {
        const char *name;
        struct coap_peer a, b;
        bool equal;
    } rows[] = {
        {"a session that moves", {7, NULL, home}, {7, NULL, away}, true},
        {"two sessions at one address", {7, NULL, home}, {8, NULL, home}, false},
        {"a session and a plain peer", {7, NULL, home}, {0, NULL, home}, false},
        {"a plain peer behind another lb", {0, NULL, home}, {0, NULL, same}, true},
        {"plain peers", {0, NULL, home}, {0, NULL, away}, false},
    };
    const struct hash_key key = {1, 2};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bool hashes_agree = coap_peer_hash(&key, &rows[i].a) == coap_peer_hash(&key, &rows[i].b);
        cr_expect_eq(coap_peer_equal(&rows[i].a, &rows[i].b), rows[i].equal, "%s", rows[i].name);
        cr_expect_eq(hashes_agree, rows[i].equal, "%s", rows[i].name);
    }
}
