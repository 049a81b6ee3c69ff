/* A UDP address, IPv4 or IPv6. IPv4 is held as an IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2),
 * so that one peer has one form whichever socket saw it, and addresses compare by memcmp.
 * Scope ids are not kept: link-local peers are out of scope. */
#ifndef HOLDFAST_SHARED_ADDRESS_H
#define HOLDFAST_SHARED_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "shared/cursor.h"
#include "shared/status.h"

struct address {
    uint8_t ip[16]; /* network order */
    uint16_t port;  /* host order */
};
_Static_assert(sizeof(struct address) == 18, "no padding: addresses compare by memcmp");

/* "[" 39 of IPv6 "]:" 5 of port and NUL, rounded up. */
#define ADDRESS_TEXT_MAX 56

bool address_equal(const struct address *a, const struct address *b);
bool address_is_v4(const struct address *address);

/* STATUS_UNSUPPORTED for any family but AF_INET and AF_INET6. */
MUST_USE enum status address_from_sockaddr(struct address *address, const struct sockaddr *from,
                                           socklen_t length);

/* As a socket of `family` wants it: a mapped address for AF_INET6, a bare one for AF_INET.
 * Returns the length used; 0 when an IPv6 peer is asked for as AF_INET. */
socklen_t address_to_sockaddr(const struct address *address, int family,
                              struct sockaddr_storage *to);

/* "127.0.0.1:5684", "[::1]:5684", "[::]:5684". No names, no missing port: STATUS_MALFORMED. */
MUST_USE enum status address_parse(struct address *address, const char *text);

/* The reverse, mapped IPv4 shown as plain IPv4; always NUL-terminated. Returns `text`. */
const char *address_format(const struct address *address, char text[ADDRESS_TEXT_MAX]);
/* The same without port (and without brackets). */
const char *address_format_ip(const struct address *address, char text[ADDRESS_TEXT_MAX]);

/* The network that admission counts a source by: IPv4 /24, IPv6 /56; port 0. */
struct address address_prefix(const struct address *address);

/* On the wire: 16 octets of IP, 2 of port. A failed cursor gives a zero address. */
#define ADDRESS_WIRE_SIZE 18
void address_write(struct writer *writer, const struct address *address);
struct address address_read(struct cursor *cursor);

#endif
