#include <criterion/criterion.h>

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

#include "shared/io.h"
#include "tests/shared/loop.h"

ON_BOTH_BACKENDS(io, names_itself)
{
    struct io *io = loop_start(backend);
    cr_assert_str_eq(io_backend_name(io), backend == IO_MMSG ? "mmsg" : "uring");
    io_free(io);
}

struct watched {
    struct io *io;
    size_t calls;
    uint32_t events;
    int unwatch; /* this one from the callback, where not negative */
    int close_too;
    int replace_by; /* and watch this one, under the same owner as `successor` */
    struct watched *successor;
};

static void ready(void *owner, int descriptor, uint32_t events)
{
    (void)descriptor;
    struct watched *watched = owner;
    watched->calls++;
    watched->events = events;
}

static int event_descriptor(uint64_t value)
{
    int descriptor = eventfd((unsigned)value, EFD_CLOEXEC | EFD_NONBLOCK);
    cr_assert_geq(descriptor, 0);
    return descriptor;
}

ON_BOTH_BACKENDS(io, watches_a_pipe)
{
    struct watched watched = {0};
    struct io *io = loop_start(backend);
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(io_watch(io, ends[0], EPOLLIN, ready, &watched), STATUS_OK);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(io_turn(io, 0), STATUS_OK);
    cr_assert_eq(watched.calls, 0);

    cr_assert_eq(write(ends[1], "x", 1), 1);
    loop_turn_until(io, &watched.calls, 1);
    cr_assert_eq(watched.events, EPOLLIN);
    /* Told again as long as it is not read. */
    loop_turn_until(io, &watched.calls, 5);
    char octet;
    cr_assert_eq(read(ends[0], &octet, 1), 1);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(io_turn(io, 0), STATUS_OK);
    size_t calls = watched.calls;
    cr_assert_leq(calls, 6); /* one may have been found before the read */
    cr_assert_eq(io_turn(io, io_now_ms(io) + 5), STATUS_OK);
    cr_assert_eq(watched.calls, calls);

    close(ends[1]);
    loop_turn_until(io, &watched.calls, calls + 1);
    cr_assert(watched.events & EPOLLHUP);
    io_unwatch(io, ends[0]);
    close(ends[0]);
    io_free(io);
}

ON_BOTH_BACKENDS(io, watches_for_writing)
{
    struct watched watched = {0};
    struct io *io = loop_start(backend);
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(io_watch(io, ends[1], EPOLLOUT, ready, &watched), STATUS_OK);
    loop_turn_until(io, &watched.calls, 1);
    cr_assert_eq(watched.events, EPOLLOUT);
    io_unwatch(io, ends[1]);
    size_t calls = watched.calls;
    for (int i = 0; i < 3; i++)
        cr_assert_eq(io_turn(io, 0), STATUS_OK);
    cr_assert_eq(watched.calls, calls);
    close(ends[0]);
    close(ends[1]);
    io_free(io);
}

ON_BOTH_BACKENDS(io, watching_again_changes_the_events)
{
    struct watched first = {0};
    struct watched second = {0};
    struct io *io = loop_start(backend);
    int descriptor = event_descriptor(0); /* writable, not readable */
    cr_assert_eq(io_watch(io, descriptor, EPOLLIN, ready, &first), STATUS_OK);
    cr_assert_eq(io_turn(io, 0), STATUS_OK); /* under way in the kernel */
    cr_assert_eq(io_watch(io, descriptor, EPOLLOUT, ready, &second), STATUS_OK);
    loop_turn_until(io, &second.calls, 3);
    cr_assert_eq(second.events, EPOLLOUT);
    cr_assert_eq(first.calls, 0);
    cr_assert_eq(io_watch(io, descriptor, EPOLLIN, ready, &first), STATUS_OK);
    for (int i = 0; i < 3; i++)
        cr_assert_eq(io_turn(io, 0), STATUS_OK);
    cr_assert_eq(first.calls, 0);
    cr_assert_eq(write(descriptor, &(uint64_t){1}, 8), 8);
    loop_turn_until(io, &first.calls, 1);
    io_unwatch(io, descriptor);
    close(descriptor);
    io_free(io);
}

ON_BOTH_BACKENDS(io, watches_are_bounded_and_come_free_again)
{
    struct watched watched = {0};
    struct io *io = loop_start(backend);
    int descriptors[IO_SOCKETS_MAX + 1];
    for (size_t i = 0; i <= IO_SOCKETS_MAX; i++)
        descriptors[i] = event_descriptor(0);
    for (size_t round = 0; round < 5; round++) {
        for (size_t i = 0; i < IO_SOCKETS_MAX; i++)
            cr_assert_eq(io_watch(io, descriptors[i], EPOLLIN, ready, &watched), STATUS_OK);
        cr_assert_eq(io_watch(io, descriptors[IO_SOCKETS_MAX], EPOLLIN, ready, &watched),
                     STATUS_FULL);
        cr_assert_eq(io_turn(io, 0), STATUS_OK);
        for (size_t i = 0; i < IO_SOCKETS_MAX; i++)
            io_unwatch(io, descriptors[i]);
        cr_assert_eq(io_watch(io, descriptors[round], EPOLLIN, ready, &watched), STATUS_OK);
        cr_assert_eq(io_turn(io, 0), STATUS_OK);
        io_unwatch(io, descriptors[round]);
        cr_assert_eq(io_turn(io, 0), STATUS_OK);
    }
    cr_assert_eq(watched.calls, 0);
    for (size_t i = 0; i <= IO_SOCKETS_MAX; i++)
        close(descriptors[i]);
    io_free(io);
}

ON_BOTH_BACKENDS(io, refuses_a_descriptor_that_is_none)
{
    struct io *io = loop_start(backend);
    int descriptor = event_descriptor(0);
    close(descriptor);
    cr_assert_eq(io_watch(io, descriptor, EPOLLIN, ready, NULL), STATUS_SYSTEM);
    cr_assert_eq(errno, EBADF);
    io_unwatch(io, descriptor); /* not watched: nothing happens */
    io_free(io);
}

/* Of two descriptors that are ready in one turn, the first callback unwatches and closes the
 * second and puts a new descriptor into its number: the old event must not reach the new owner. */
static void replace(void *owner, int descriptor, uint32_t events)
{
    struct watched *watched = owner;
    ready(owner, descriptor, events);
    if (watched->unwatch < 0)
        return;
    io_unwatch(watched->io, descriptor);
    io_unwatch(watched->io, watched->unwatch);
    close(watched->unwatch);
    int fresh = event_descriptor(0);
    cr_assert_eq(fresh, watched->unwatch, "the lowest free number");
    cr_assert_eq(io_watch(watched->io, fresh, EPOLLIN, ready, watched->successor), STATUS_OK);
    watched->successor->unwatch = fresh;
    watched->unwatch = -1;
}

ON_BOTH_BACKENDS(io, event_does_not_reach_the_next_owner_of_a_descriptor)
{
    struct io *io = loop_start(backend);
    struct watched successor = {0};
    int a = event_descriptor(1);
    int b = event_descriptor(1);
    struct watched of_a = {.io = io, .unwatch = b, .successor = &successor};
    struct watched of_b = {.io = io, .unwatch = a, .successor = &successor};
    cr_assert_eq(io_watch(io, a, EPOLLIN, replace, &of_a), STATUS_OK);
    cr_assert_eq(io_watch(io, b, EPOLLIN, replace, &of_b), STATUS_OK);
    uint64_t end_ms = io_now_ms(io) + LOOP_GIVE_UP_MS;
    while (of_a.calls + of_b.calls == 0 && io_now_ms(io) < end_ms)
        cr_assert_eq(io_turn(io, end_ms), STATUS_OK);
    cr_assert_eq(of_a.calls + of_b.calls, 1);
    for (int i = 0; i < 5; i++)
        cr_assert_eq(io_turn(io, 0), STATUS_OK);
    cr_assert_eq(of_a.calls + of_b.calls, 1);
    cr_assert_eq(successor.calls, 0);

    cr_assert_eq(write(successor.unwatch, &(uint64_t){1}, 8), 8);
    loop_turn_until(io, &successor.calls, 1);
    io_unwatch(io, successor.unwatch);
    close(successor.unwatch);
    close(of_a.calls ? a : b);
    io_free(io);
}

/* A callback of a socket may watch, unwatch and send. */
struct mixed {
    struct io *io;
    int descriptor;
    struct watched watched;
    size_t received;
};

static void watch_on_receive(void *owner, struct io_socket *socket, struct io_datagram *datagrams,
                             size_t count)
{
    struct mixed *mixed = owner;
    mixed->received += count;
    if (datagrams[0].data[0] == 'w') {
        cr_assert_eq(io_watch(mixed->io, mixed->descriptor, EPOLLIN, ready, &mixed->watched),
                     STATUS_OK);
    } else {
        io_unwatch(mixed->io, mixed->descriptor);
    }
    io_send(socket, &datagrams[0].from, datagrams[0].data, 1);
}

ON_BOTH_BACKENDS(io, watches_from_a_receive_callback)
{
    struct io *io = loop_start(backend);
    struct mixed mixed = {.io = io, .descriptor = event_descriptor(1)};
    struct address bind_to = loop_address("127.0.0.1:0");
    struct io_udp_options options = {.bind = &bind_to,
                                     .datagram_size_max = DATAGRAM_SIZE_MAX,
                                     .receive = watch_on_receive,
                                     .owner = &mixed};
    struct io_socket *socket;
    cr_assert_eq(io_udp_open(io, &options, &socket), STATUS_OK);
    struct address local = io_local_address(socket);
    struct address peer;
    int plain = loop_plain_socket(AF_INET, &peer);
    char octet;
    loop_plain_send(plain, AF_INET, &local, "w", 1);
    loop_turn_until(io, &mixed.watched.calls, 2);
    cr_assert_eq(recv(plain, &octet, 1, 0), 1);
    loop_plain_send(plain, AF_INET, &local, "u", 1);
    loop_turn_until(io, &mixed.received, 2);
    cr_assert_eq(recv(plain, &octet, 1, 0), 1);
    size_t calls = mixed.watched.calls;
    for (int i = 0; i < 3; i++)
        cr_assert_eq(io_turn(io, 0), STATUS_OK);
    cr_assert_eq(mixed.watched.calls, calls);
    close(plain);
    close(mixed.descriptor);
    io_free(io);
}

/* A descriptor that is ready in every turn leaves the sockets their part. */
ON_BOTH_BACKENDS(io, ready_descriptor_does_not_starve_sockets)
{
    struct seen seen = {0};
    struct watched watched = {0};
    struct io *io = loop_start(backend);
    struct address local = io_local_address(loop_listen(io, "127.0.0.1:0", &seen));
    int descriptor = event_descriptor(1);
    cr_assert_eq(io_watch(io, descriptor, EPOLLIN, ready, &watched), STATUS_OK);
    loop_turn_until(io, &watched.calls, 3);
    struct address peer;
    int plain = loop_plain_socket(AF_INET, &peer);
    for (size_t i = 1; i <= 20; i++) {
        size_t calls = watched.calls;
        loop_plain_send(plain, AF_INET, &local, "x", 1);
        loop_turn_until(io, &seen.count, i);
        loop_turn_until(io, &watched.calls, calls + 2);
    }
    close(plain);
    io_unwatch(io, descriptor);
    close(descriptor);
    io_free(io);
}

ON_BOTH_BACKENDS(io, turn_ends_at_its_deadline)
{
    struct seen seen = {0};
    struct io *io = loop_start(backend);
    loop_listen(io, "127.0.0.1:0", &seen);
    for (uint64_t wait_ms = 0; wait_ms < 30; wait_ms += 7) {
        uint64_t deadline_ms = io_now_ms(io) + wait_ms;
        cr_assert_eq(io_turn(io, deadline_ms), STATUS_OK);
        cr_assert_geq(io_now_ms(io), deadline_ms);
    }
    cr_assert_eq(io_turn(io, 0), STATUS_OK);
    cr_assert_eq(io_counters(io).turns, 6);
    io_free(io);
}

static void on_alarm(int signal)
{
    (void)signal;
}

ON_BOTH_BACKENDS(io, signal_ends_a_turn_normally)
{
    struct seen seen = {0};
    struct io *io = loop_start(backend);
    loop_listen(io, "127.0.0.1:0", &seen);
    struct sigaction action = {.sa_handler = on_alarm};
    sigaction(SIGALRM, &action, NULL);
    struct itimerval soon = {.it_value = {.tv_usec = 20000}};
    setitimer(ITIMER_REAL, &soon, NULL);
    cr_assert_eq(io_turn(io, UINT64_MAX), STATUS_OK);
    io_free(io);
}

ON_BOTH_BACKENDS(io, does_not_interrupt_others)
{
    struct io *io = loop_start(backend);
    const struct sched_param none = {0};
    cr_assert_eq(sched_getscheduler(0), SCHED_OTHER);
    cr_assert_eq(io_turn(io, 0), STATUS_OK);
    cr_expect_eq(sched_getscheduler(0), SCHED_BATCH);
    io_free(io);

    cr_assert_eq(sched_setscheduler(0, SCHED_IDLE, &none), 0);
    io = loop_start(backend);
    cr_assert_eq(io_turn(io, 0), STATUS_OK);
    cr_expect_eq(sched_getscheduler(0), SCHED_IDLE, "somebody wanted it so");
    io_free(io);
}

Test(io, free_of_null)
{
    io_free(NULL);
}

Test(io, unix_time)
{
    cr_assert_gt(io_unix_ms(), UINT64_C(1577836800000)); /* 2020 */
}

/* As the seccomp profiles of containers do. */
static void refuse_io_uring(void)
{
    struct sock_filter rules[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof rules / sizeof *rules, .filter = rules};
    cr_assert_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
    cr_assert_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

Test(io, auto_falls_back_with_one_line)
{
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    cr_assert_eq(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    refuse_io_uring();
    for (int i = 0; i < 3; i++) {
        struct io *io = loop_start(IO_AUTO);
        cr_assert_str_eq(io_backend_name(io), "mmsg");
        io_free(io);
    }
    char line[512];
    ssize_t length = read(ends[0], line, sizeof line - 1);
    cr_assert_gt(length, 0);
    line[length] = '\0';
    cr_assert_not_null(strstr(line, "io_uring refused"));
    cr_assert_not_null(strstr(line, "EPERM"));
    cr_assert_eq(strchr(line, '\n'), line + length - 1, "one line");
}

Test(io, uring_says_that_it_is_refused)
{
    struct io *io;
    refuse_io_uring();
    cr_assert_eq(io_new(&io, IO_URING), STATUS_SYSTEM);
    cr_assert_eq(errno, EPERM);
}
