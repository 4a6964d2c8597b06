#include "kernels/dispatch.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <iterator>

#if defined(HANDGRAD_X86)
#include <cpuid.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace handgrad {

#define HG_DECLARE(isa)                    \
    namespace isa {                        \
    void fill(GemmKernels<float>&);        \
    void fill(GemmKernels<double>&);       \
    void fill(ThinKernels<float>&);        \
    void fill(ThinKernels<double>&);       \
    void fill(RowKernels<float>&);         \
    void fill(RowKernels<double>&);        \
    void fill(RowKernels<Bf16>&);          \
    void fill(PoolKernels<float>&);        \
    void fill(PoolKernels<double>&);       \
    void fill(PoolKernels<Bf16>&);         \
    void fill(GroupKernels<float>&);       \
    void fill(GroupKernels<double>&);      \
    void fill(FlatKernels<float>&);        \
    void fill(FlatKernels<double>&);       \
    void fill(CurveKernels<float>&);       \
    void fill(CurveKernels<double>&);      \
    void fill(WinogradKernels&);           \
    void fill(StemKernels&);               \
    void fill(Bf16Kernels&);               \
    }
HG_DECLARE(portable)
#if defined(HANDGRAD_X86)
HG_DECLARE(avx2)
HG_DECLARE(avx512)
#endif
namespace portable {
void use_tiles(Bf16Kernels&);
}
#if defined(HANDGRAD_BF16_DOT)
namespace avx512bf16 {
void use_dot(Bf16Kernels&);
}
#endif
#if defined(HANDGRAD_AMX)
namespace amx {
void use_tiles(Bf16Kernels&);
}
#endif

namespace {

struct Tables {
    Kernels<float> f32;
    Kernels<double> f64;
    Bf16Kernels bf16;
    Kernels<Bf16> stored;
};

#define HG_FILL(isa)                   \
    [](Tables& tables) {               \
        isa::fill(tables.f32.gemm);    \
        isa::fill(tables.f64.gemm);    \
        isa::fill(tables.f32.thin);    \
        isa::fill(tables.f64.thin);    \
        isa::fill(tables.f32.rows);    \
        isa::fill(tables.f64.rows);    \
        isa::fill(tables.f32.pool);    \
        isa::fill(tables.f64.pool);    \
        isa::fill(tables.f32.grouped); \
        isa::fill(tables.f64.grouped); \
        isa::fill(tables.f32.flat);    \
        isa::fill(tables.f64.flat);    \
        isa::fill(tables.f32.curves);  \
        isa::fill(tables.f64.curves);  \
        isa::fill(tables.f32.winograd); \
        isa::fill(tables.f32.stem);     \
        isa::fill(tables.bf16);         \
        isa::fill(tables.stored.rows);  \
        isa::fill(tables.stored.pool);  \
    }

struct Isa {
    const char* name;
    bool (*runs)();
    void (*fill)(Tables&);
};

#if defined(HANDGRAD_X86)
constexpr unsigned kFma = 1u << 12, kXsave = 1u << 27;                                    // leaf 1, ecx
constexpr unsigned kAvx2 = 1u << 5, kAvx512 = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31;  // leaf 7, ebx: F, DQ, BW, VL
constexpr unsigned kYmm = 0x6, kZmm = 0xe6;                                               // registers that are kept

// Whether the processor has these instructions and the system keeps these registers when it switches between
// processes.  The compilers' own test needs a library that clang-cl does not link.
bool has(unsigned extensions, unsigned registers) {
    unsigned a, b, c, d, kept, upper;
    if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & kFma) || !(c & kXsave)) return false;
    asm volatile("xgetbv" : "=a"(kept), "=d"(upper) : "c"(0));
    return (kept & registers) == registers && __get_cpuid_count(7, 0, &a, &b, &c, &d) && (b & extensions) == extensions;
}

bool has_bf16_dot() {
    unsigned a, b, c, d;
    return has(kAvx2 | kAvx512, kZmm) && __get_cpuid_count(7, 1, &a, &b, &c, &d) && a & 1u << 5;
}

// Whether the processor has AMX's tiles of bf16, and Linux gives them to this process, which asks for them.
bool has_amx() {
#if defined(__linux__)
    constexpr unsigned kTiles = 3u << 17, kAmx = 1u << 22 | 1u << 24;  // kept registers; leaf 7, edx: BF16, TILE
    constexpr long kAskFor = 0x1023, kTileData = 18;                    // ARCH_REQ_XCOMP_PERM
    unsigned a, b, c, d;
    static const bool asked = has(kAvx2 | kAvx512, kZmm | kTiles) && __get_cpuid_count(7, 0, &a, &b, &c, &d) &&
                              (d & kAmx) == kAmx && syscall(SYS_arch_prctl, kAskFor, kTileData) == 0;
    return asked;
#else
    return false;
#endif
}
#endif

const Isa kKnown[] = {
#if defined(HANDGRAD_X86)
    {"avx512", [] { return has(kAvx2 | kAvx512, kZmm); }, HG_FILL(avx512)},
    {"avx2", [] { return has(kAvx2, kYmm); }, HG_FILL(avx2)},
#endif
    {"portable", [] { return true; }, HG_FILL(portable)},
};
constexpr int kCount = sizeof kKnown / sizeof kKnown[0];

// isa: whose vectors the rest of the kernels takes; null for any.
struct Bf16Kind {
    const char *name, *isa;
    bool (*runs)();
    void (*use)(Bf16Kernels&);
};

const Bf16Kind kBf16Kinds[] = {
#if defined(HANDGRAD_AMX)
    {"amx", "avx512", has_amx, amx::use_tiles},
#endif
#if defined(HANDGRAD_BF16_DOT)
    {"avx512-bf16", "avx512", has_bf16_dot, avx512bf16::use_dot},
#endif
    {"emulated", nullptr, [] { return true; }, [](Bf16Kernels&) {}},
    {"amx-model", nullptr, [] { return true; }, portable::use_tiles},
};
constexpr int kBf16Count = sizeof kBf16Kinds / sizeof kBf16Kinds[0];

struct State {
    Tables tables;
    const char* name = nullptr;
    const char* names[kCount + 1] = {};
    const char* bf16_names[kBf16Count + 1] = {};

    State() {
        int found = 0;
        for (const Isa& isa : kKnown)
            if (isa.runs()) names[found++] = isa.name;
        const char* wanted = std::getenv("HANDGRAD_ISA");
        if (!wanted || !choose(wanted)) choose(names[0]);
    }

    bool choose(const char* wanted) {
        for (const Isa& isa : kKnown) {
            if (std::strcmp(isa.name, wanted) != 0 || !isa.runs()) continue;
            isa.fill(tables);
            name = isa.name;
            choose_best_bf16();
            return true;
        }
        return false;
    }

    bool runs(const Bf16Kind& kind) const { return (!kind.isa || std::strcmp(kind.isa, name) == 0) && kind.runs(); }

    void choose_best_bf16() {
        int found = 0;
        std::fill(std::begin(bf16_names), std::end(bf16_names), nullptr);
        for (const Bf16Kind& kind : kBf16Kinds)
            if (runs(kind)) bf16_names[found++] = kind.name;
        const char* wanted = std::getenv("HANDGRAD_BF16");
        if (!wanted || !choose_bf16(wanted)) choose_bf16(bf16_names[0]);
    }

    bool choose_bf16(const char* wanted) {
        for (const Bf16Kind& kind : kBf16Kinds) {
            if (std::strcmp(kind.name, wanted) != 0 || !runs(kind)) continue;
            for (const Isa& isa : kKnown)
                if (isa.name == name) isa.fill(tables);
            kind.use(tables.bf16);
            return true;
        }
        return false;
    }
};

State& state() {
    static State instance;
    return instance;
}

}  // namespace

template <>
const Kernels<float>& kernels<float>() {
    return state().tables.f32;
}
template <>
const Kernels<double>& kernels<double>() {
    return state().tables.f64;
}
template <>
const Kernels<Bf16>& kernels<Bf16>() {
    return state().tables.stored;
}

const Bf16Kernels& bf16_kernels() { return state().tables.bf16; }
const char* const* bf16_names() { return state().bf16_names; }
bool choose_bf16(const char* name) { return state().choose_bf16(name); }

const char* isa_name() { return state().name; }
const char* const* isa_names() { return state().names; }
bool choose_isa(const char* name) { return state().choose(name); }

}  // namespace handgrad
