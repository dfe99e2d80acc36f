-- Last: the first days of every partitioned table.
select make_partitions(7);
