// A small thread pool.  Work is cut into chunks that depend on the sizes only; threads take the next
// chunk when they are free, so a busy neighbour costs little and the number of threads never changes
// a result.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <new>
#include <type_traits>
#include <vector>

#include "core/sizes.h"

namespace handgrad {

constexpr int kMaxThreads = 64;

using ChunkFunction = void (*)(void* context, int64_t chunk, int worker);

// Calls function(context, chunk, worker) for chunk = 0 .. count-1, worker < thread_count().
void run_chunks(int64_t count, ChunkFunction function, void* context);
int thread_count();
// For measurements: notes how long each chunk takes, of regions that this thread begins and computes alone.
void start_trace();
std::vector<std::vector<double>> stop_trace();  // seconds
// Waits for what computes, as its memory is made for the threads that there were.
void set_thread_count(int count);

// While one lives, kernels compute and no setting changes under them.  Not twice in one thread.
class Computing {
  public:
    Computing();
    ~Computing();
    Computing(const Computing&) = delete;
    Computing& operator=(const Computing&) = delete;
};

// While one lives, settings change and nothing computes.
class Changing {
  public:
    Changing();
    ~Changing();
    Changing(const Changing&) = delete;
    Changing& operator=(const Changing&) = delete;
};

// Calls body(chunk, worker) for each chunk.  Where memory runs out in a chunk, the others still run,
// and std::bad_alloc is thrown at the end.
template <class Body>
void parallel(int64_t count, Body&& body) {
    struct Context {
        std::remove_reference_t<Body>& body;
        std::atomic<bool> no_memory{false};
    } context{body};
    run_chunks(
        count,
        [](void* given, int64_t chunk, int worker) {
            auto& all = *static_cast<Context*>(given);
            try {
                all.body(chunk, worker);
            } catch (const std::bad_alloc&) {
                all.no_memory = true;
            }
        },
        &context);
    if (context.no_memory) throw std::bad_alloc();
}

constexpr int64_t kChunk = 16384;  // numbers of a chunk of a flat pass

// Calls body(first, count) for chunks of n numbers of a flat pass.
template <class Body>
void for_chunks(int64_t n, Body&& body) {
    parallel(ceil_div(n, kChunk), [&](int64_t chunk, int) { body(chunk * kChunk, std::min(kChunk, n - chunk * kChunk)); });
}

}  // namespace handgrad
