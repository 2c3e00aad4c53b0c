/* A file system that fails: calls that change files below a folder are counted, and the n-th fails.

   cc -shared -fPIC -O2 -o faults.so faults.c -ldl
   FAULT_STATE=state LD_PRELOAD=./faults.so python …

   The file `state` is shared by all processes that are started so: `struct state` below, which
   faults.py writes and reads. As on a real system, files can still be deleted on a full disk. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#define PATH 512

struct state {
    long count;          /* calls so far */
    long from, to;       /* fail from one to another; 0: none */
    long error;          /* with this errno */
    long failed;         /* calls that failed */
    long recorded;       /* of calls, in `calls`, if it is long enough */
    char folders[2][PATH];
    char first[PATH];    /* the call that failed first */
    char calls[20000][256];
};

static struct state *shared;

__attribute__((constructor)) static void begin(void) {
    const char *name = getenv("FAULT_STATE");
    if (!name) return;
    int file = open(name, O_RDWR);
    if (file < 0) return;
    void *found = mmap(NULL, sizeof(struct state), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (found != MAP_FAILED) shared = found;
    close(file);
}

static void *next(const char *name) {
    return dlsym(RTLD_NEXT, name);
}

static void whole(int folder, const char *path, char *out) {
    char link[64];
    ssize_t length = 0;
    if (path && path[0] == '/') {
        snprintf(out, PATH, "%s", path);
        return;
    }
    if (folder == AT_FDCWD) {
        if (getcwd(out, PATH)) length = strlen(out);
    } else {
        snprintf(link, sizeof link, "/proc/self/fd/%d", folder);
        length = readlink(link, out, PATH - 1);
    }
    if (length < 0) length = 0;
    out[length] = 0;
    if (path) snprintf(out + length, PATH - length, "/%s", path);
}

/* Tell whether a call fails, after counting it. */
static int fails(const char *call, int folder, const char *path, int frees) {
    char full[PATH];
    int kept = errno;
    if (!shared || !shared->folders[0][0]) return 0;
    whole(folder, path, full);
    int ours = 0;
    for (int i = 0; i < 2; i++) {
        size_t length = strlen(shared->folders[i]);
        ours |= length && !strncmp(full, shared->folders[i], length);
    }
    errno = kept;
    if (!ours) return 0;
    long number = __sync_add_and_fetch(&shared->count, 1);
    if (number <= 20000) {
        snprintf(shared->calls[number - 1], 256, "%s %s", call, full);
        errno = kept;
    }
    if (!shared->from || number < shared->from || number > shared->to) return 0;
    if (frees && (shared->error == ENOSPC || shared->error == EDQUOT)) return 0;
    if (__sync_fetch_and_add(&shared->failed, 1) == 0)
        snprintf(shared->first, PATH, "%s %s", call, full);
    errno = (int)shared->error;
    return 1;
}

#define WRITES(flags) (((flags) & O_ACCMODE) != O_RDONLY || ((flags) & O_CREAT))

#define OPEN(name)                                                                \
    int name(const char *path, int flags, ...) {                                  \
        va_list rest;                                                             \
        va_start(rest, flags);                                                    \
        mode_t mode = va_arg(rest, mode_t);                                       \
        va_end(rest);                                                             \
        if (WRITES(flags) && fails("open", AT_FDCWD, path, 0)) return -1;         \
        int (*real)(const char *, int, ...) = next(#name);                        \
        return real(path, flags, mode);                                           \
    }
OPEN(open)
OPEN(open64)

#define OPENAT(name)                                                              \
    int name(int folder, const char *path, int flags, ...) {                      \
        va_list rest;                                                             \
        va_start(rest, flags);                                                    \
        mode_t mode = va_arg(rest, mode_t);                                       \
        va_end(rest);                                                             \
        if (WRITES(flags) && fails("open", folder, path, 0)) return -1;           \
        int (*real)(int, const char *, int, ...) = next(#name);                   \
        return real(folder, path, flags, mode);                                   \
    }
OPENAT(openat)
OPENAT(openat64)

#define FOPEN(name)                                                               \
    FILE *name(const char *path, const char *mode) {                              \
        if (mode[0] != 'r' || strchr(mode, '+'))                                  \
            if (fails("open", AT_FDCWD, path, 0)) return NULL;                    \
        FILE *(*real)(const char *, const char *) = next(#name);                  \
        return real(path, mode);                                                  \
    }
FOPEN(fopen)
FOPEN(fopen64)

/* A call on a file that is open, and one on a path. */
#define ON_FILE(type, name, call, frees, parameters, arguments)                   \
    type name parameters {                                                        \
        if (fails(call, file, NULL, frees)) return -1;                            \
        type(*real) parameters = next(#name);                                     \
        return real arguments;                                                    \
    }
#define ON_PATH(name, call, folder, path, frees, parameters, arguments)           \
    int name parameters {                                                         \
        if (fails(call, folder, path, frees)) return -1;                          \
        int(*real) parameters = next(#name);                                      \
        return real arguments;                                                    \
    }

ON_FILE(ssize_t, write, "write", 0, (int file, const void *data, size_t n), (file, data, n))
ON_FILE(ssize_t, writev, "write", 0, (int file, const struct iovec *v, int n), (file, v, n))
ON_FILE(ssize_t, pwrite, "write", 0, (int file, const void *data, size_t n, off_t at),
        (file, data, n, at))
ON_FILE(ssize_t, pwrite64, "write", 0, (int file, const void *data, size_t n, off_t at),
        (file, data, n, at))
ON_FILE(int, ftruncate, "truncate", 0, (int file, off_t length), (file, length))
ON_FILE(int, ftruncate64, "truncate", 0, (int file, off_t length), (file, length))
ON_FILE(int, fallocate, "allocate", 0, (int file, int mode, off_t at, off_t length),
        (file, mode, at, length))
ON_FILE(int, fallocate64, "allocate", 0, (int file, int mode, off_t at, off_t length),
        (file, mode, at, length))
ON_FILE(int, fsync, "fsync", 0, (int file), (file))
ON_FILE(int, fdatasync, "fsync", 0, (int file), (file))
ON_PATH(rename, "rename", AT_FDCWD, to, 0, (const char *from, const char *to), (from, to))
ON_PATH(renameat, "rename", there, to, 0, (int here, const char *from, int there, const char *to),
        (here, from, there, to))
ON_PATH(renameat2, "rename", there, to, 0,
        (int here, const char *from, int there, const char *to, unsigned flags),
        (here, from, there, to, flags))
ON_PATH(mkdir, "mkdir", AT_FDCWD, path, 0, (const char *path, mode_t mode), (path, mode))
ON_PATH(mkdirat, "mkdir", folder, path, 0, (int folder, const char *path, mode_t mode),
        (folder, path, mode))
ON_PATH(link, "link", AT_FDCWD, to, 0, (const char *from, const char *to), (from, to))
ON_PATH(linkat, "link", there, to, 0,
        (int here, const char *from, int there, const char *to, int flags),
        (here, from, there, to, flags))
ON_PATH(symlink, "link", AT_FDCWD, to, 0, (const char *from, const char *to), (from, to))
ON_PATH(unlink, "unlink", AT_FDCWD, path, 1, (const char *path), (path))
ON_PATH(unlinkat, "unlink", folder, path, 1, (int folder, const char *path, int flags),
        (folder, path, flags))
ON_PATH(rmdir, "unlink", AT_FDCWD, path, 1, (const char *path), (path))
