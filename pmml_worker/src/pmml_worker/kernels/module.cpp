// The extension module: what the kernels offer to Python. Plain arrays in and out; no PMML words here.
#include <nanobind/nanobind.h>

void register_distances(nanobind::module_& module);
void register_dense(nanobind::module_& module);
void register_elements(nanobind::module_& module);
void register_likelihoods(nanobind::module_& module);
void register_ranking(nanobind::module_& module);
void register_support_vectors(nanobind::module_& module);
void register_trees(nanobind::module_& module);

NB_MODULE(_native, module) {
    module.doc() = "The few hot loops, in C++.";
    register_distances(module);
    register_dense(module);
    register_elements(module);
    register_likelihoods(module);
    register_ranking(module);
    register_support_vectors(module);
    register_trees(module);
}
