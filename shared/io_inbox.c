#include "shared/io_inbox.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

/* The kernel puts io_uring_recvmsg_out, name, control data and payload into a buffer; these sizes
 * keep each aligned. */
#define NAME_ROOM 32
#define HEADER_ROOM (sizeof(struct io_uring_recvmsg_out) + NAME_ROOM + IO_CONTROL_SIZE)
#define BUFFER_ALIGNMENT 16
#define RING_OCTETS (IO_BATCH_MAX * sizeof(struct io_uring_buf))
/* A quarter of what the kernel takes at once. */
#define BURST 8

_Static_assert((IO_BATCH_MAX & (IO_BATCH_MAX - 1)) == 0, "a buffer ring's size is a power of two");
_Static_assert(sizeof(union io_name) <= NAME_ROOM && NAME_ROOM % 8 == 0, "names fit, aligned");

/* A datagram in a buffer. */
struct arrival {
    uint16_t buffer;
    uint32_t length; /* from io_uring_recvmsg_out on */
};

struct inbox {
    struct msghdr shape; /* tells multishot recvmsg how much room name and control data get */
    bool armed;
    bool was_armed;
    struct io_uring_buf_ring *ring;
    uint8_t *buffers;   /* IO_BATCH_MAX */
    size_t buffer_size; /* what the kernel may fill */
    size_t stride;
    struct arrival arrivals[IO_BATCH_MAX]; /* not handed over yet */
    size_t arrival_count;
    size_t counted;              /* arrivals that inbox_had_burst has seen */
    uint16_t held[IO_BATCH_MAX]; /* buffers that the batch at hand lives in */
    size_t held_count;
};

static uint8_t *buffer_at(const struct inbox *inbox, uint16_t buffer)
{
    return inbox->buffers + buffer * inbox->stride;
}

static void give_buffers(struct inbox *inbox, const uint16_t *buffers, size_t count)
{
    int mask = io_uring_buf_ring_mask(IO_BATCH_MAX);
    for (size_t i = 0; i < count; i++)
        io_uring_buf_ring_add(inbox->ring, buffer_at(inbox, buffers[i]),
                              (unsigned)inbox->buffer_size, buffers[i], mask, (int)i);
    io_uring_buf_ring_advance(inbox->ring, (int)count);
}

/* Returns an errno. */
static int make_ring(struct inbox *inbox, struct io_uring *uring, uint16_t group)
{
    inbox->ring =
        mmap(NULL, RING_OCTETS, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (inbox->ring == MAP_FAILED)
        return errno;
    struct io_uring_buf_reg registration = {
        .ring_addr = (uintptr_t)inbox->ring,
        .ring_entries = IO_BATCH_MAX,
        .bgid = group,
    };
    int result = io_uring_register_buf_ring(uring, &registration, 0);
    if (result < 0) {
        munmap(inbox->ring, RING_OCTETS);
        return -result;
    }
    io_uring_buf_ring_init(inbox->ring);
    return 0;
}

enum status inbox_open(struct io_socket *socket)
{
    int error = ENOMEM;
    struct inbox *inbox = calloc(1, sizeof *inbox);
    if (!inbox)
        goto failed;
    inbox->shape.msg_namelen = NAME_ROOM;
    inbox->shape.msg_controllen = IO_CONTROL_SIZE;
    inbox->buffer_size = HEADER_ROOM + socket->datagram_size_max;
    inbox->stride = (inbox->buffer_size + BUFFER_ALIGNMENT - 1) & ~(size_t)(BUFFER_ALIGNMENT - 1);
    inbox->buffers = calloc(IO_BATCH_MAX, inbox->stride);
    if (!inbox->buffers)
        goto failed;
    error = make_ring(inbox, io_uring_of(socket->io), (uint16_t)socket->index);
    if (error != 0)
        goto failed;

    uint16_t all[IO_BATCH_MAX];
    for (uint16_t i = 0; i < IO_BATCH_MAX; i++)
        all[i] = i;
    give_buffers(inbox, all, IO_BATCH_MAX);
    socket->backend = inbox;
    return STATUS_OK;

failed:
    if (inbox)
        free(inbox->buffers);
    free(inbox);
    errno = error;
    return STATUS_SYSTEM;
}

void inbox_close(struct io_socket *socket)
{
    struct inbox *inbox = socket->backend;
    munmap(inbox->ring, RING_OCTETS);
    free(inbox->buffers);
    free(inbox);
}

bool inbox_wants_arming(const struct io_socket *socket)
{
    const struct inbox *inbox = socket->backend;
    return !inbox->armed && inbox->arrival_count < IO_BATCH_MAX;
}

void inbox_arm(struct io_socket *socket, struct io_uring_sqe *submission)
{
    struct inbox *inbox = socket->backend;
    io_uring_prep_recvmsg_multishot(submission, socket->descriptor, &inbox->shape, 0);
    submission->flags |= IOSQE_BUFFER_SELECT;
    submission->buf_group = (uint16_t)socket->index;
    socket->io->counters.receive_rearmed += inbox->was_armed;
    inbox->armed = true;
    inbox->was_armed = true;
}

int inbox_take(struct io_socket *socket, int result, unsigned flags)
{
    struct inbox *inbox = socket->backend;
    if (!(flags & IORING_CQE_F_MORE))
        inbox->armed = false;
    if (result < 0)
        return -result;
    if (flags & IORING_CQE_F_BUFFER) {
        /* There are as many places as buffers. */
        inbox->arrivals[inbox->arrival_count++] = (struct arrival){
            .buffer = (uint16_t)(flags >> IORING_CQE_BUFFER_SHIFT),
            .length = (uint32_t)result,
        };
    }
    return 0;
}

bool inbox_had_burst(struct io_socket *socket)
{
    struct inbox *inbox = socket->backend;
    size_t fresh = inbox->arrival_count - inbox->counted;
    inbox->counted = inbox->arrival_count;
    return inbox->armed && fresh >= BURST && inbox->arrival_count < IO_BATCH_MAX;
}

static bool read_arrival(struct io_socket *socket, const struct arrival *arrival,
                         struct io_datagram *datagram)
{
    struct inbox *inbox = socket->backend;
    struct io_uring_recvmsg_out *out = io_uring_recvmsg_validate(
        buffer_at(inbox, arrival->buffer), (int)arrival->length, &inbox->shape);
    if (!out)
        return false;
    struct cmsghdr *control = io_uring_recvmsg_cmsg_firsthdr(out, &inbox->shape);
    for (; control; control = io_uring_recvmsg_cmsg_nexthdr(out, &inbox->shape, control))
        io_count_overflows(socket, control);
    if (address_from_sockaddr(&datagram->from, io_uring_recvmsg_name(out), out->namelen) !=
        STATUS_OK)
        return false;
    datagram->data = io_uring_recvmsg_payload(out, &inbox->shape);
    datagram->length = io_uring_recvmsg_payload_length(out, (int)arrival->length, &inbox->shape);
    datagram->truncated = (out->flags & MSG_TRUNC) != 0;
    return true;
}

size_t inbox_receive(struct io_socket *socket)
{
    struct inbox *inbox = socket->backend;
    size_t count = 0;
    for (size_t i = 0; i < inbox->arrival_count; i++) {
        inbox->held[i] = inbox->arrivals[i].buffer;
        count += read_arrival(socket, &inbox->arrivals[i], &socket->io->datagrams[count]);
    }
    inbox->held_count = inbox->arrival_count;
    inbox->arrival_count = 0; /* what is reaped in the callback is added from here on */
    inbox->counted = 0;
    if (count == 0)
        inbox_release(socket);
    return count;
}

void inbox_release(struct io_socket *socket)
{
    struct inbox *inbox = socket->backend;
    give_buffers(inbox, inbox->held, inbox->held_count);
    inbox->held_count = 0;
}

bool inbox_has_received(const struct io_socket *socket)
{
    const struct inbox *inbox = socket->backend;
    return inbox->arrival_count > 0;
}
