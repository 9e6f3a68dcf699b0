"""The built-in file synchronisation: two trees and what they agreed on last, compared and brought together."""
