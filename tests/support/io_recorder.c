/* Writes down what a process does to the files of a directory, and can let it fail: a library to
 * preload (LD_PRELOAD) into the program under test.
 *
 *   IO_ROOT    the directory; what happens to other files is left alone
 *   IO_RECORD  where each operation is appended, after it was done, one write a record
 *   IO_FAULTS  a file of lines "OPERATION NAME ERROR": each operation whose file name ends in NAME
 *              fails, as long as the line is there; "OPERATION NAME COUNT ERROR" lets COUNT pass.
 *              Each time one fails, a line goes to the file of this name with ".met" behind it.
 *
 * OPERATION is write, truncate, sync, create, unlink, rename, mkdir, or open, which is any file;
 * accept, of which NAME is "socket"; short, which lets a write take the first half of its bytes and ERROR
 * is 0; and clock, of which NAME is "realtime" and ERROR is by how many milliseconds it is moved.
 *
 * The directory itself is called "."; syncing it, or one within it, makes what exists in it durable.
 *
 * A record is { u8 operation; u32 name_bytes; u64 offset; u64 data_bytes; name; data }, little
 * endian. Operations are done under one lock, so that their order in the record is that in which
 * they happened: a sync is written down after all the writes that it covers. Only what SQLite and
 * the standard library call is caught; memory maps are not, which is right for -shm alone.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum operation {
    OP_WRITE = 1,
    OP_TRUNCATE,
    OP_SYNC,
    OP_CREATE,
    OP_UNLINK,
    OP_RENAME,
    OP_OPEN,
    OP_ACCEPT,
    OP_SHORT,
    OP_CLOCK,
    OP_MKDIR
};

static const char *const operation_names[] = { "",       "write",  "truncate", "sync",
                                               "create", "unlink", "rename",   "open",
                                               "accept", "short",  "clock",    "mkdir" };

#define FDS_MAX 65536
#define NAME_MAX_BYTES 512

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* What is known of a descriptor: 0 nothing, 1 that it is none of ours, else its name. */
static const char *names[FDS_MAX];
static const char none[] = "";
static char root[4096];
static size_t root_bytes;
static int record_fd = -1;
static const char *faults_path;
/* How often each line of the faults let an operation pass, and the lines that this counts for. */
static unsigned long long passed[16];
static char counted[2048];

__attribute__((constructor)) static void begin(void) {
    const char *dir = getenv("IO_ROOT");
    const char *record = getenv("IO_RECORD");
    faults_path = getenv("IO_FAULTS");
    if (!dir || !realpath(dir, root)) return;
    strcat(root, "/");
    root_bytes = strlen(root);
    if (record) {
        record_fd = (int)syscall(SYS_openat, AT_FDCWD, record,
                                 O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    }
}

/* The name of an open file within the directory; NULL if it is not in it. */
static const char *name_of(int fd) {
    char link[64], path[4096];
    if (!root_bytes || fd < 0 || fd >= FDS_MAX) return NULL;
    if (names[fd]) return names[fd] == none ? NULL : names[fd];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n <= 0) return NULL;
    path[n] = 0;
    if (!strncmp(path, root, root_bytes - 1) && strlen(path) == root_bytes - 1) {
        names[fd] = strdup(".");
    } else {
        names[fd] = strncmp(path, root, root_bytes) ? none : strdup(path + root_bytes);
    }
    return names[fd] == none ? NULL : names[fd];
}

static void forget(int fd) {
    if (fd >= 0 && fd < FDS_MAX && names[fd]) {
        if (names[fd] != none) free((void *)names[fd]);
        names[fd] = NULL;
    }
}

static void record(enum operation op, const char *name, uint64_t offset, const void *data,
                   uint64_t bytes) {
    if (record_fd < 0) return;
    uint8_t head[21];
    uint32_t name_bytes = (uint32_t)strlen(name);
    head[0] = (uint8_t)op;
    memcpy(head + 1, &name_bytes, 4);
    memcpy(head + 5, &offset, 8);
    memcpy(head + 13, &bytes, 8);
    struct iovec parts[3] = { { head, sizeof head },
                              { (void *)name, name_bytes },
                              { (void *)data, bytes } };
    ssize_t n = syscall(SYS_writev, record_fd, parts, 3);
    if (n != (ssize_t)(sizeof head + name_bytes + bytes)) abort();
}

static int ends_with(const char *name, const char *end) {
    size_t n = strlen(name), m = strlen(end);
    return n >= m && !strcmp(name + n - m, end);
}

/* Tells the test that a fault was met. */
static void met(const char *line) {
    char path[4200], out[600];
    snprintf(path, sizeof path, "%s.met", faults_path);
    int n = snprintf(out, sizeof out, "%s\n", line);
    int fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
                          0600);
    if (fd < 0) return;
    if (syscall(SYS_write, fd, out, n) != n) abort();
    syscall(SYS_close, fd);
}

/* What the line for an operation says last; `otherwise` if there is none, or it lets this pass. The
 * lock is held, but for the clock, which counts nothing. */
static long long told(enum operation op, const char *name, long long otherwise) {
    char text[2048], lines[2048], line[600], operation[16], of[NAME_MAX_BYTES], *next = lines;
    if (!faults_path) return otherwise;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, faults_path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return otherwise;
    ssize_t n = syscall(SYS_read, fd, text, sizeof text - 1);
    syscall(SYS_close, fd);
    if (n <= 0) return otherwise;
    text[n] = 0;
    if (op != OP_CLOCK && strcmp(text, counted)) {
        memcpy(counted, text, (size_t)n + 1);
        memset(passed, 0, sizeof passed);
    }
    memcpy(lines, text, (size_t)n + 1);
    for (int line_at = 0; next && *next && line_at < 16; line_at++) {
        char *end = strchr(next, '\n');
        if (end) *end = 0;
        snprintf(line, sizeof line, "%.599s", next);
        next = end ? end + 1 : NULL;
        long long count = 0, last = 0;
        int fields = sscanf(line, "%15s %511s %lld %lld", operation, of, &count, &last);
        if (fields == 3) {
            last = count;
            count = 0;
        } else if (fields != 4) {
            continue;
        }
        if (strcmp(operation, operation_names[op]) || !ends_with(name, of)) continue;
        if (op == OP_CLOCK) return last;
        if (passed[line_at] < (unsigned long long)count) {
            passed[line_at]++;
            continue;
        }
        met(line);
        return last;
    }
    return otherwise;
}

/* The error that an operation is to fail with; 0 if it is to be done. */
static int fault(enum operation op, const char *name) { return (int)told(op, name, 0); }

/* How many bytes a write is to take. */
static size_t taken(const char *name, size_t n) {
    return n > 1 && told(OP_SHORT, name, -1) >= 0 ? n / 2 : n;
}

#define REAL(function) ((__typeof__(&function))dlsym(RTLD_NEXT, #function))

/* Runs `call` on a file of ours under the lock, and records it; calls it right away otherwise. */
#define GUARDED(fd, op, call, offset, data, bytes)                                                 \
    do {                                                                                           \
        pthread_mutex_lock(&lock);                                                                 \
        const char *name = name_of(fd);                                                            \
        if (!name) {                                                                               \
            pthread_mutex_unlock(&lock);                                                           \
            return call;                                                                           \
        }                                                                                          \
        int error = fault(op, name);                                                               \
        if (op == OP_WRITE && !error) n = taken(name, n);                                          \
        __typeof__(call) result = -1;                                                              \
        if (!error) {                                                                              \
            result = call;                                                                         \
            error = errno;                                                                         \
            if (result >= 0) record(op, name, offset, data, bytes);                                \
        }                                                                                          \
        pthread_mutex_unlock(&lock);                                                               \
        errno = error;                                                                             \
        return result;                                                                             \
    } while (0)

ssize_t pwrite64(int fd, const void *data, size_t n, off64_t offset) {
    GUARDED(fd, OP_WRITE, REAL(pwrite64)(fd, data, n, offset), (uint64_t)offset, data,
            (uint64_t)result);
}

ssize_t pwrite(int fd, const void *data, size_t n, off_t offset) {
    GUARDED(fd, OP_WRITE, REAL(pwrite)(fd, data, n, offset), (uint64_t)offset, data,
            (uint64_t)result);
}

ssize_t write(int fd, const void *data, size_t n) {
    /* Most writes go to sockets: those take no lock. */
    if (!root_bytes || (fd >= 0 && fd < FDS_MAX && names[fd] == none)) {
        return syscall(SYS_write, fd, data, n);
    }
    GUARDED(fd, OP_WRITE, (ssize_t)syscall(SYS_write, fd, data, n),
            (uint64_t)(lseek(fd, 0, SEEK_CUR) - result), data, (uint64_t)result);
}

int ftruncate64(int fd, off64_t length) {
    size_t n = 0;
    GUARDED(fd, OP_TRUNCATE, REAL(ftruncate64)(fd, length), (uint64_t)length, "", 0);
}

int ftruncate(int fd, off_t length) {
    size_t n = 0;
    GUARDED(fd, OP_TRUNCATE, REAL(ftruncate)(fd, length), (uint64_t)length, "", 0);
}

int fsync(int fd) {
    size_t n = 0;
    GUARDED(fd, OP_SYNC, REAL(fsync)(fd), 0, "", 0);
}

int fdatasync(int fd) {
    size_t n = 0;
    GUARDED(fd, OP_SYNC, REAL(fdatasync)(fd), 0, "", 0);
}

int close(int fd) {
    pthread_mutex_lock(&lock);
    forget(fd);
    int result = (int)syscall(SYS_close, fd), error = errno;
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

/* A path within the directory; NULL if it is not in it. */
static const char *within(const char *path) {
    return root_bytes && path && !strncmp(path, root, root_bytes) ? path + root_bytes : NULL;
}

static int open_file(int dir, const char *path, int flags, mode_t mode) {
    const char *name = within(path);
    if (!name) return (int)syscall(SYS_openat, dir, path, flags, mode);
    pthread_mutex_lock(&lock);
    struct stat info;
    int is_new = (flags & O_CREAT) && stat(path, &info) != 0;
    int error = is_new ? fault(OP_CREATE, name) : 0;
    if (!error) error = fault(OP_OPEN, name);
    int fd = -1;
    if (!error) {
        fd = (int)syscall(SYS_openat, dir, path, flags, mode);
        error = errno;
        forget(fd);
        if (fd >= 0 && is_new) record(OP_CREATE, name, 0, "", 0);
        if (fd >= 0 && !is_new && (flags & O_TRUNC)) record(OP_TRUNCATE, name, 0, "", 0);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return fd;
}

#define MODE_OF(flags)                                                                             \
    mode_t mode = 0;                                                                               \
    if ((flags) & (O_CREAT | O_TMPFILE)) {                                                         \
        va_list rest;                                                                              \
        va_start(rest, flags);                                                                     \
        mode = va_arg(rest, mode_t);                                                               \
        va_end(rest);                                                                              \
    }

int open(const char *path, int flags, ...) {
    MODE_OF(flags);
    return open_file(AT_FDCWD, path, flags, mode);
}

int open64(const char *path, int flags, ...) {
    MODE_OF(flags);
    return open_file(AT_FDCWD, path, flags | O_LARGEFILE, mode);
}

int unlink(const char *path) {
    const char *name = within(path);
    if (!name) return (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
    pthread_mutex_lock(&lock);
    int error = fault(OP_UNLINK, name), result = -1;
    if (!error) {
        result = (int)syscall(SYS_unlinkat, AT_FDCWD, path, 0);
        error = errno;
        if (result == 0) record(OP_UNLINK, name, 0, "", 0);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

int rename(const char *from, const char *to) {
    const char *name = within(from), *target = within(to);
    if (!name || !target) return (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
    pthread_mutex_lock(&lock);
    int error = fault(OP_RENAME, target), result = -1;
    if (!error) {
        result = (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
        error = errno;
        if (result == 0) record(OP_RENAME, name, 0, target, strlen(target));
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

int mkdir(const char *path, mode_t mode) {
    const char *name = within(path);
    if (!name) return (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
    pthread_mutex_lock(&lock);
    int error = fault(OP_MKDIR, name), result = -1;
    if (!error) {
        result = (int)syscall(SYS_mkdirat, AT_FDCWD, path, mode);
        error = errno;
        if (result == 0) record(OP_MKDIR, name, 0, "", 0);
    }
    pthread_mutex_unlock(&lock);
    errno = error;
    return result;
}

int accept4(int fd, struct sockaddr *address, socklen_t *bytes, int flags) {
    pthread_mutex_lock(&lock);
    int error = fault(OP_ACCEPT, "socket");
    pthread_mutex_unlock(&lock);
    if (error) {
        errno = error;
        return -1;
    }
    return (int)syscall(SYS_accept4, fd, address, bytes, flags);
}

int clock_gettime(clockid_t clock, struct timespec *now) {
    int result = REAL(clock_gettime)(clock, now);
    if (result == 0 && clock == CLOCK_REALTIME) {
        long long moved = told(OP_CLOCK, "realtime", 0);
        now->tv_sec += moved / 1000;
    }
    return result;
}
