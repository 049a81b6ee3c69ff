/* Prints the events of an LMDB store as they are, octet by octet, for a test to look for what
 * devices have said. Reads only, while the workers go on writing. */
#include <errno.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DATABASES_MAX 16

static int print_all(MDB_txn *txn)
{
    MDB_dbi log;
    MDB_cursor *cursor = NULL;
    MDB_val number, event;
    int result = mdb_dbi_open(txn, "log", 0, &log);
    if (result == 0)
        result = mdb_cursor_open(txn, log, &cursor);
    while (result == 0 && (result = mdb_cursor_get(cursor, &number, &event, MDB_NEXT)) == 0) {
        if (fwrite(event.mv_data, 1, event.mv_size, stdout) != event.mv_size ||
            putchar('\n') == EOF)
            result = errno;
    }
    mdb_cursor_close(cursor);
    return result == MDB_NOTFOUND && cursor ? 0 : result;
}

int main(int argc, char **argv)
{
    MDB_env *env = NULL;
    MDB_txn *txn = NULL;
    int result;
    if (argc != 2 || strcmp(argv[1], "--help") == 0) {
        (void)fputs("Usage: event_log DIR\nPrints the events of the LMDB store in DIR.\n",
                    argc == 2 ? stdout : stderr);
        return argc == 2 ? EXIT_SUCCESS : 2;
    }
    result = mdb_env_create(&env);
    if (result == 0)
        result = mdb_env_set_maxdbs(env, DATABASES_MAX);
    if (result == 0)
        result = mdb_env_open(env, argv[1], MDB_RDONLY, 0);
    if (result == 0)
        result = mdb_txn_begin(env, NULL, MDB_RDONLY, &txn);
    if (result == 0)
        result = print_all(txn);
    if (result != 0)
        (void)fprintf(stderr, "event_log: %s: %s\n", argv[1], mdb_strerror(result));
    if (txn)
        mdb_txn_abort(txn);
    if (env)
        mdb_env_close(env);
    return result == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
