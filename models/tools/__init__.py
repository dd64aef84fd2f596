# SPDX-License-Identifier: GPL-2.0-or-later
"""What is done with model files outside the filter: conversion, simplifying, quantising, measuring."""
