// What an x86-64 processor and its operating system offer, asked of the processor itself: not every compiler's run-time
// library has what __builtin_cpu_supports needs.
#pragma once

#include <cpuid.h>

#include <cstdint>

namespace magnets::cpu {

struct X86Processor {
  bool avx2 = false;  // with FMA
  bool avx_vnni = false;
  bool avx512 = false;  // F, BW, DQ and VL
  bool avx512_vnni = false;

  static X86Processor ask() {
    X86Processor found;
    unsigned a = 0, b = 0, c = 0, d = 0;
    const auto all = [](unsigned value, unsigned bits) { return (value & bits) == bits; };
    constexpr unsigned kFma = 1u << 12, kOsxsave = 1u << 27, kAvx = 1u << 28;
    if (__get_cpuid(1, &a, &b, &c, &d) == 0 || !all(c, kFma | kOsxsave | kAvx)) return found;
    unsigned saved = 0, saved_high = 0;  // which registers the operating system saves
    __asm__ volatile("xgetbv" : "=a"(saved), "=d"(saved_high) : "c"(0));
    constexpr unsigned kYmm = 0x6, kZmm = 0xe6;
    if (!all(saved, kYmm) || __get_cpuid_count(7, 0, &a, &b, &c, &d) == 0) return found;
    found.avx2 = all(b, 1u << 5);
    found.avx512 = all(saved, kZmm) && all(b, 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31);
    found.avx512_vnni = found.avx512 && all(c, 1u << 11);
    const bool more = a >= 1 && __get_cpuid_count(7, 1, &a, &b, &c, &d) != 0;
    found.avx_vnni = found.avx2 && more && all(a, 1u << 4);
    return found;
  }
};

}  // namespace magnets::cpu
