#include "core/system.h"

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <malloc.h>
#include <windows.h>
#else
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>

#if defined(__GLIBC__)
#include <malloc.h>
#endif
#endif

namespace handgrad {

void relax_processor() {
#if defined(__x86_64__) || defined(_M_X64)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    asm volatile("yield");
#endif
}

#if defined(_WIN32)

int processor_count() {
    DWORD_PTR process = 0, all = 0;
    int count = 0;
    if (GetProcessAffinityMask(GetCurrentProcess(), &process, &all))
        for (; process; process &= process - 1) ++count;
    return count ? count : 1;
}

void yield_processor() { SwitchToThread(); }

void* aligned_memory(int64_t bytes, int64_t alignment) {
    return _aligned_malloc(static_cast<size_t>(bytes), static_cast<size_t>(alignment));
}

void free_aligned(void* memory) { _aligned_free(memory); }

void return_freed_memory() { _heapmin(); }

Guarded guarded_memory(int64_t bytes) {
    SYSTEM_INFO system;
    GetSystemInfo(&system);
    const int64_t page = system.dwPageSize, usable = (bytes + page - 1) / page * page, length = usable + page;
    void* base = VirtualAlloc(nullptr, static_cast<size_t>(length), MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
    DWORD before;
    if (base) VirtualProtect(static_cast<char*>(base) + usable, static_cast<size_t>(page), PAGE_NOACCESS, &before);
    return {base, usable, length};
}

void free_guarded(void* base, int64_t) { VirtualFree(base, 0, MEM_RELEASE); }

bool read_at(int, void*, int64_t, int64_t) { return false; }

void at_fork(void (*)(), void (*)(), void (*)()) {}

#else

int processor_count() {
#if defined(__linux__)
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
#endif
    const long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 1 ? static_cast<int>(count) : 1;
}

void yield_processor() { sched_yield(); }

void* aligned_memory(int64_t bytes, int64_t alignment) {
    void* memory = nullptr;
    const int failed = posix_memalign(&memory, static_cast<size_t>(alignment), static_cast<size_t>(bytes));
    return failed ? nullptr : memory;
}

void free_aligned(void* memory) { std::free(memory); }

void return_freed_memory() {
#if defined(__GLIBC__)
    malloc_trim(0);
#endif
}

Guarded guarded_memory(int64_t bytes) {
    const int64_t page = sysconf(_SC_PAGESIZE), usable = (bytes + page - 1) / page * page, length = usable + page;
    void* base = mmap(nullptr, static_cast<size_t>(length), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) return {nullptr, usable, length};
    mprotect(static_cast<char*>(base) + usable, static_cast<size_t>(page), PROT_NONE);
    return {base, usable, length};
}

void free_guarded(void* base, int64_t length) { munmap(base, static_cast<size_t>(length)); }

bool read_at(int file, void* to, int64_t bytes, int64_t offset) {
    char* next = static_cast<char*>(to);
    while (bytes > 0) {
        const ssize_t got = pread(file, next, static_cast<size_t>(bytes), static_cast<off_t>(offset));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        next += got, bytes -= got, offset += got;
    }
    return true;
}

void at_fork(void (*before)(), void (*in_parent)(), void (*in_child)()) {
    pthread_atfork(before, in_parent, in_child);
}

#endif

}  // namespace handgrad
