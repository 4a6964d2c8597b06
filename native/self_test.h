// What the parts of the self-test share.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

namespace handgrad::self_test {

extern std::mt19937 generator;
extern int failures, comparisons;

template <class T>
std::vector<T> draw(int64_t count) {
    std::normal_distribution<double> normal;
    std::vector<T> numbers(static_cast<size_t>(count));
    for (T& number : numbers) number = static_cast<T>(normal(generator));
    return numbers;
}

// Plans, see plan/plan.h: three steps of a network against plain loops, and a convolutional one against its drivers.
template <class T>
void plans();

// bf16, by each of its kernels.
void halves();

}  // namespace handgrad::self_test
