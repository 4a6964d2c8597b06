#include "core/threads.h"

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <mutex>
#include <thread>
#include <vector>

#include "core/system.h"

namespace handgrad {
namespace {

constexpr int kSpins = 20000;  // some 250 us: the usual gap between two regions of a training step, and more

// The chunks of a region that no thread has taken: [first, last), in the upper and the lower half.  The caller takes
// the first and the workers the last, so that where one region follows another over the same memory, each finds
// most of what it wrote in its own caches.
class Ticket {
  public:
    explicit Ticket(uint64_t bits) : bits(bits) {}
    uint64_t first() const { return bits >> 32; }
    uint64_t last() const { return bits & 0xffffffffu; }
    bool is_open() const { return first() < last(); }
    Ticket without_first() const { return Ticket(bits + (uint64_t{1} << 32)); }
    Ticket without_last() const { return Ticket(bits - 1); }
    uint64_t bits;
};

// One region at a time.  A thread takes a chunk by compare-and-swap of the ticket, and only then reads the job: it
// cannot change before this chunk is done.  A ticket that was read in an earlier region and is the same again
// holds for this one too.
struct Pool {
    std::atomic<uint64_t> ticket{0};
    std::atomic<ChunkFunction> function{nullptr};
    std::atomic<void*> context{nullptr};
    std::atomic<uint64_t> done{0};
    std::atomic<int> sleeping{0};
    std::atomic<bool> stop{false};
    std::mutex region;  // held by the caller whose region runs
    std::mutex sleep;
    std::condition_variable wake;
    std::vector<std::thread> workers;

    bool take_one(int worker) {
        const Ticket now(ticket.load(std::memory_order_acquire));
        if (!now.is_open()) return false;
        const uint64_t chunk = worker ? now.last() - 1 : now.first();
        const Ticket then = worker ? now.without_last() : now.without_first();
        uint64_t expected = now.bits;
        if (!ticket.compare_exchange_strong(expected, then.bits, std::memory_order_acq_rel)) return true;
        const ChunkFunction call = function.load(std::memory_order_relaxed);
        call(context.load(std::memory_order_relaxed), static_cast<int64_t>(chunk), worker);
        done.fetch_add(1, std::memory_order_release);
        return true;
    }

    void serve(int worker) {
        for (int idle = 0; !stop.load(std::memory_order_relaxed);) {
            if (take_one(worker)) {
                idle = 0;
            } else if (++idle < kSpins) {
                relax_processor();
            } else {
                std::unique_lock<std::mutex> lock(sleep);
                sleeping.fetch_add(1);
                wake.wait(lock, [&] { return stop.load() || Ticket(ticket.load()).is_open(); });
                sleeping.fetch_sub(1);
                idle = 0;
            }
        }
    }

    void start(int threads) {
        for (int worker = 1; worker < threads; ++worker)
            workers.emplace_back([this, worker] { serve(worker); });
    }

    void finish() {
        {
            std::lock_guard<std::mutex> lock(sleep);
            stop.store(true);
        }
        wake.notify_all();
        for (auto& worker : workers) worker.join();
    }

    void run(uint64_t chunks, ChunkFunction call, void* argument) {
        function.store(call, std::memory_order_relaxed);
        context.store(argument, std::memory_order_relaxed);
        done.store(0, std::memory_order_relaxed);
        ticket.store(chunks);  // closed until now
        if (sleeping.load() > 0) {
            { std::lock_guard<std::mutex> lock(sleep); }
            wake.notify_all();
        }
        while (take_one(0)) {
        }
        for (int spins = 0; done.load(std::memory_order_acquire) < chunks;) {
            if (++spins < kSpins) {
                relax_processor();
            } else {
                yield_processor();
            }
        }
    }
};

// Held by all that compute, or by the one that changes a setting; who changes goes first, or many that compute in
// turns would keep it waiting for ever.
class SettingsLock {
  public:
    void enter() {
        std::unique_lock<std::mutex> lock(mutex_);
        free_.wait(lock, [&] { return !changing_ && waiting_ == 0; });
        ++computing_;
    }
    void leave() {
        std::lock_guard<std::mutex> lock(mutex_);
        if (--computing_ == 0 && waiting_ > 0) free_.notify_all();
    }
    void enter_alone() {
        std::unique_lock<std::mutex> lock(mutex_);
        ++waiting_;
        free_.wait(lock, [&] { return !changing_ && computing_ == 0; });
        --waiting_;
        changing_ = true;
    }
    void leave_alone() {
        std::lock_guard<std::mutex> lock(mutex_);
        changing_ = false;
        free_.notify_all();
    }

  private:
    std::mutex mutex_;
    std::condition_variable free_;
    int computing_ = 0, waiting_ = 0;
    bool changing_ = false;
};

SettingsLock& settings = *new SettingsLock;  // never destroyed: threads may compute while the process ends
std::mutex configuration;
Pool* current = nullptr;
int threads = 0;
thread_local bool inside = false;

int default_threads() {
    if (const char* given = std::getenv("HANDGRAD_NUM_THREADS")) {
        int count = std::atoi(given);
        if (count >= 1) return count < kMaxThreads ? count : kMaxThreads;
    }
    const int count = processor_count();
    return count < kMaxThreads ? count : kMaxThreads;
}

// In the child of a fork there are no workers, and locks may be held by threads that do not exist.
void forget_pool() {
    new (&settings) SettingsLock;
    new (&configuration) std::mutex;
    current = nullptr;
    inside = false;
}

[[maybe_unused]] const bool registered = (at_fork(nullptr, nullptr, forget_pool), true);

Pool* running_pool() {
    std::lock_guard<std::mutex> lock(configuration);
    if (!current) {
        if (!threads) threads = default_threads();
        current = new Pool;
        current->start(threads);
    }
    return current;
}

thread_local bool tracing = false;
std::vector<std::vector<double>> traced;

void run_traced(int64_t count, ChunkFunction function, void* context) {
    using Clock = std::chrono::steady_clock;
    std::vector<double> seconds;
    tracing = false;  // regions within a chunk are its own
    for (int64_t chunk = 0; chunk < count; ++chunk) {
        const auto started = Clock::now();
        function(context, chunk, 0);
        seconds.push_back(std::chrono::duration<double>(Clock::now() - started).count());
    }
    tracing = true;
    traced.push_back(std::move(seconds));
}

void run_alone(int64_t count, ChunkFunction function, void* context) {
    if (tracing) return run_traced(count, function, context);
    for (int64_t chunk = 0; chunk < count; ++chunk) function(context, chunk, 0);
}

}  // namespace

void start_trace() {
    traced.clear();
    tracing = true;
}

std::vector<std::vector<double>> stop_trace() {
    tracing = false;
    return std::move(traced);
}

int thread_count() {
    std::lock_guard<std::mutex> lock(configuration);
    if (!threads) threads = default_threads();
    return threads;
}

void set_thread_count(int count) {
    const Changing nothing_computes;
    std::lock_guard<std::mutex> lock(configuration);
    count = count < 1 ? 1 : count < kMaxThreads ? count : kMaxThreads;
    if (count == threads) return;
    threads = count;
    if (current) current->finish();
    delete current;
    current = nullptr;
}

Computing::Computing() { settings.enter(); }
Computing::~Computing() { settings.leave(); }
Changing::Changing() { settings.enter_alone(); }
Changing::~Changing() { settings.leave_alone(); }

void run_chunks(int64_t count, ChunkFunction function, void* context) {
    constexpr int64_t kMost = int64_t{1} << 31;
    if (count <= 1 || count >= kMost || inside) return run_alone(count, function, context);
    Pool* pool = running_pool();
    std::unique_lock<std::mutex> region(pool->region, std::try_to_lock);
    // Another Python thread computes: this one goes on by itself rather than wait.
    if (!region.owns_lock() || pool->workers.empty()) return run_alone(count, function, context);
    inside = true;
    pool->run(static_cast<uint64_t>(count), function, context);
    inside = false;
}

}  // namespace handgrad
