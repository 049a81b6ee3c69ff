/* Private to io_uring.c: a socket's receive side. One multishot recvmsg is in flight, which the
 * kernel feeds from a ring of IO_BATCH_MAX buffers and ends at will (no buffer left, an error, a
 * datagram of no octets); then it is armed again with the next wait. Memory of a socket:
 * IO_BATCH_MAX * (datagram_size_max + 72). */
#ifndef HOLDFAST_SHARED_IO_INBOX_H
#define HOLDFAST_SHARED_IO_INBOX_H

#include <liburing.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/io_backend.h"
#include "shared/status.h"

struct io_uring *io_uring_of(struct io *io); /* io_uring.c's ring */

/* Calls of the backend. */
enum status inbox_open(struct io_socket *socket);
void inbox_close(struct io_socket *socket);
size_t inbox_receive(struct io_socket *socket);
void inbox_release(struct io_socket *socket);
bool inbox_has_received(const struct io_socket *socket);

/* No receive is in flight, and there is a buffer to receive into. */
bool inbox_wants_arming(const struct io_socket *socket);
void inbox_arm(struct io_socket *socket, struct io_uring_sqe *submission);
/* Takes a completion of the receive. Returns the errno that it ended with, 0 for a datagram. */
int inbox_take(struct io_socket *socket, int result, unsigned flags);
/* So many datagrams came since the last call that the kernel may have more of them at hand. */
bool inbox_had_burst(struct io_socket *socket);

#endif
