-- A small table in memory, an index, and rows deleted again. Then the shell that sqlite3 starts
-- sends its parent the signal on which the witness stops it.
create table customer(id integer primary key, name text, city text, balance real);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)
insert into customer select i, 'customer ' || i, 'city ' || (i % 97), i * 1.5 from n;
create index customer_city on customer(city, balance);
delete from customer where id % 3 = 0;
select city, count(*) from customer group by city order by 2 desc limit 3;
.shell kill -USR2 $PPID
